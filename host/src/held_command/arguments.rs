//! Arguments of the two hidden commands: the keeper, and the process that becomes the command.

use std::ffi::OsString;
use std::time::Duration;

use rustix::process::Pid;

/// Hidden command of the keeper.
pub(super) const KEEPER: &str = "__keep";
/// Hidden command of the process that becomes the command.
pub(super) const STAGE: &str = "__become";

/// Processes among which the command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandPlace {
    /// A session without a terminal, and a process group of its own.
    OwnSession,
    /// The process group of `leasehold`, so that the terminal's keys reach the command as without `leasehold`.
    Terminal {
        /// That group.
        group: Pid,
    },
}

/// Arguments of the keeper.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeeperArgs {
    /// Time between SIGTERM and SIGKILL where no deadline is nearer.
    pub(super) grace: Duration,
    pub(super) place: CommandPlace,
    /// Program and arguments.
    pub(super) command: Vec<OsString>,
}

impl KeeperArgs {
    pub(super) fn to_args(&self) -> Vec<OsString> {
        let group = match self.place {
            CommandPlace::OwnSession => 0,
            CommandPlace::Terminal { group } => group.as_raw_nonzero().get(),
        };
        let first = [
            KEEPER.to_owned(),
            self.grace.as_millis().to_string(),
            group.to_string(),
        ];
        let first = first.into_iter().map(OsString::from);
        first.chain(self.command.iter().cloned()).collect()
    }

    /// Reads the arguments that follow [`KEEPER`].
    pub(super) fn parse(args: &[OsString]) -> Option<Self> {
        let [grace, group, command @ ..] = args else {
            return None;
        };
        let group: i32 = number(group)?;
        Some(Self {
            grace: Duration::from_millis(number(grace)?),
            place: match Pid::from_raw(group) {
                Some(group) => CommandPlace::Terminal { group },
                None => CommandPlace::OwnSession,
            },
            command: (!command.is_empty()).then(|| command.to_vec())?,
        })
    }
}

/// Arguments of the process that becomes the command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StageArgs {
    /// The keeper, which must still be the parent.
    pub(super) keeper: Pid,
    /// Program and arguments.
    pub(super) command: Vec<OsString>,
}

impl StageArgs {
    pub(super) fn to_args(&self) -> Vec<OsString> {
        let keeper = self.keeper.as_raw_nonzero().to_string();
        let first = [OsString::from(STAGE), OsString::from(keeper)];
        first
            .into_iter()
            .chain(self.command.iter().cloned())
            .collect()
    }

    /// Reads the arguments that follow [`STAGE`].
    pub(super) fn parse(args: &[OsString]) -> Option<Self> {
        let [keeper, command @ ..] = args else {
            return None;
        };
        Some(Self {
            keeper: Pid::from_raw(number(keeper)?)?,
            command: (!command.is_empty()).then(|| command.to_vec())?,
        })
    }
}

fn number<N: std::str::FromStr>(text: &OsString) -> Option<N> {
    text.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_as_they_were_written() {
        let command = vec![OsString::from("sh"), OsString::from("-c")];
        let group = Pid::from_raw(77).unwrap();
        for place in [CommandPlace::OwnSession, CommandPlace::Terminal { group }] {
            let args = KeeperArgs {
                grace: Duration::from_millis(1_500),
                place,
                command: command.clone(),
            };
            let written = args.to_args();
            assert_eq!(written[0], KEEPER);
            assert_eq!(KeeperArgs::parse(&written[1..]), Some(args));
        }
        let args = StageArgs {
            keeper: group,
            command,
        };
        let written = args.to_args();
        assert_eq!(written[0], STAGE);
        assert_eq!(StageArgs::parse(&written[1..]), Some(args));
    }

    #[test]
    fn arguments_without_a_command_are_refused() {
        let written = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(KeeperArgs::parse(&written(&["100", "0"])), None);
        assert_eq!(KeeperArgs::parse(&written(&["soon", "0", "true"])), None);
        assert_eq!(StageArgs::parse(&written(&["0", "true"])), None);
        assert_eq!(StageArgs::parse(&written(&["1"])), None);
    }
}
