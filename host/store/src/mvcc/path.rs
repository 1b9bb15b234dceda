//! The branches that a transaction takes, decided before its first operation runs.

use etcd_client::proto::{
    PbResponseHeader, PbResponseOp, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest, PbTxnRequestOp,
    PbTxnResponse,
};

use super::compare;
use super::read::View;
use crate::error::StoreError;

/// The branch that each transaction takes, nested ones within it.
pub(super) struct Path<'r> {
    succeeded: bool,
    pub(super) steps: Vec<Step<'r>>,
}

pub(super) enum Step<'r> {
    Op(&'r PbTxnOpRequest),
    Nested(Path<'r>),
}

impl<'r> Path<'r> {
    pub(super) fn decide(view: View<'_>, request: &'r PbTxnRequest) -> Self {
        let succeeded = compare::all_hold(view, &request.compare);
        let ops: &[PbTxnRequestOp] = if succeeded {
            &request.success
        } else {
            &request.failure
        };
        let steps = ops
            .iter()
            .filter_map(|op| op.request.as_ref())
            .map(|op| match op {
                PbTxnOpRequest::RequestTxn(nested) => Step::Nested(Self::decide(view, nested)),
                op => Step::Op(op),
            })
            .collect();
        Self { succeeded, steps }
    }

    pub(super) fn check_ranges(&self, view: View<'_>) -> Result<(), StoreError> {
        self.steps.iter().try_for_each(|step| match step {
            Step::Op(PbTxnOpRequest::RequestRange(range)) => view.check_in_txn(range.revision),
            Step::Op(_) => Ok(()),
            Step::Nested(path) => path.check_ranges(view),
        })
    }

    pub(super) fn run(
        &self,
        runner: &mut impl Run,
    ) -> Result<(bool, Vec<PbResponseOp>), StoreError> {
        let mut responses = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let response = match step {
                Step::Op(op) => runner.run(op)?,
                Step::Nested(path) => {
                    let (succeeded, responses) = path.run(runner)?;
                    PbTxnOpResponse::ResponseTxn(PbTxnResponse {
                        header: Some(PbResponseHeader::default()),
                        succeeded,
                        responses,
                    })
                }
            };
            responses.push(PbResponseOp {
                response: Some(response),
            });
        }
        Ok((self.succeeded, responses))
    }
}

/// What carries a single operation out.
pub(super) trait Run {
    fn run(&mut self, op: &PbTxnOpRequest) -> Result<PbTxnOpResponse, StoreError>;
}
