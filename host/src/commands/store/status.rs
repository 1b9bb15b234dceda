//! `leasehold store status`: a store's size, revision, leases and members.

use leasehold_lock::StoreStatus;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::look::Look;
use crate::show_format::{ShowFormat, print_json, print_rendered};
use crate::size_text::about_size;
use crate::store_target::TargetArgs;
use crate::table::{Column, Table};

/// Arguments of `leasehold store status`.
#[derive(clap::Args)]
pub(crate) struct StoreStatusArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "table")]
    format: ShowFormat,
}

/// Output in its JSON form.
#[derive(Serialize)]
struct StatusJson<'a> {
    version: &'a str,
    /// The cluster's id, in hex as etcd's tools write it.
    cluster: String,
    revision: i64,
    term: u64,
    data_bytes: u64,
    used_bytes: u64,
    /// Missing where the server does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leases: Option<usize>,
    errors: &'a [String],
    members: Vec<MemberJson<'a>>,
}

#[derive(Serialize)]
struct MemberJson<'a> {
    name: &'a str,
    endpoints: &'a [String],
    leads: bool,
}

/// Prints the status.
pub(crate) async fn run(args: StoreStatusArgs) -> Result<Exit, Failure> {
    let locks = args.target.connect().await?;
    let status = locks.store_status().await;
    locks.close().await;
    let status = status.map_err(|error| {
        Failure::of_line(
            Exit::Store,
            &format!("cannot read the store's status: {error}"),
        )
    })?;
    match args.format {
        ShowFormat::Json => print_json(&to_json(&status)),
        ShowFormat::Table => print_rendered(&to_table(&status, Look::of_stdout())),
    }
}

fn quota(status: &StoreStatus) -> Option<u64> {
    Some(status.quota_bytes).filter(|bytes| *bytes > 0)
}

fn to_json(status: &StoreStatus) -> StatusJson<'_> {
    StatusJson {
        version: &status.version,
        cluster: format!("{:x}", status.cluster),
        revision: status.revision.get(),
        term: status.term,
        data_bytes: status.data_bytes,
        used_bytes: status.used_bytes,
        quota_bytes: quota(status),
        leases: status.leases,
        errors: &status.errors,
        members: status
            .members
            .iter()
            .map(|member| MemberJson {
                name: &member.name,
                endpoints: &member.endpoints,
                leads: member.leads,
            })
            .collect(),
    }
}

fn to_table(status: &StoreStatus, look: Look) -> String {
    let mut facts = Table::new([Column::fixed("STORE"), Column::fixed("")]);
    let mut fact = |name: &str, text: String| facts.row([name.into(), text.into()]);
    fact("version", status.version.clone());
    fact("cluster", format!("{:x}", status.cluster));
    fact("revision", status.revision.to_string());
    fact("term", status.term.to_string());
    let quota = quota(status).map_or_else(String::new, |quota| {
        format!(", {} allowed", about_size(quota))
    });
    let (size, used) = (about_size(status.data_bytes), about_size(status.used_bytes));
    fact("size", format!("{size}, {used} in use{quota}"));
    let leases = status.leases.map(|count| count.to_string());
    fact(
        "leases",
        leases.unwrap_or_else(|| "not permitted to list them".to_owned()),
    );
    for error in &status.errors {
        fact("error", error.trim().to_owned());
    }
    let mut members = Table::new(["MEMBER", "ROLE", "ENDPOINTS"].map(Column::fixed));
    for member in &status.members {
        members.row([
            member.name.clone().into(),
            if member.leads { "leads" } else { "follows" }.into(),
            member.endpoints.join(" ").into(),
        ]);
    }
    format!(
        "{}\n{}",
        facts.render_or("", look),
        members.render_or("not permitted to list the members\n", look)
    )
}

#[cfg(test)]
mod tests {
    use leasehold_lock::Revision;
    use leasehold_lock::StoreMember;

    use super::*;

    fn status() -> StoreStatus {
        StoreStatus {
            version: "3.5.99".to_owned(),
            cluster: 0xab_cdef,
            revision: Revision::new(1234),
            term: 3,
            data_bytes: 2_621_440,
            used_bytes: 1_100_000,
            quota_bytes: 1 << 30,
            errors: vec!["memberID:7 alarm:NOSPACE ".to_owned()],
            leases: Some(4),
            members: vec![StoreMember {
                name: "embedded".to_owned(),
                endpoints: vec!["http://127.0.0.1:2379".to_owned()],
                leads: true,
            }],
        }
    }

    #[test]
    fn a_full_store_is_shown_with_its_alarm() {
        insta::assert_snapshot!(to_table(&status(), Look::plain()), @"
        STORE
        version   3.5.99
        cluster   abcdef
        revision  1234
        term      3
        size      2560KiB, 1.0MiB in use, 1GiB allowed
        leases    4
        error     memberID:7 alarm:NOSPACE

        MEMBER    ROLE   ENDPOINTS
        embedded  leads  http://127.0.0.1:2379
        ");
    }

    #[test]
    fn what_a_user_may_not_list_is_named() {
        let narrow = StoreStatus {
            leases: None,
            members: Vec::new(),
            quota_bytes: 0,
            errors: Vec::new(),
            ..status()
        };
        insta::assert_snapshot!(to_table(&narrow, Look::plain()), @"
        STORE
        version   3.5.99
        cluster   abcdef
        revision  1234
        term      3
        size      2560KiB, 1.0MiB in use
        leases    not permitted to list them

        not permitted to list the members
        ");
    }
}
