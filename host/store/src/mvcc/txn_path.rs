//! The branches that a transaction takes, decided before its first operation runs.

use etcd_client::proto::{
    PbResponseHeader, PbResponseOp, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest, PbTxnRequestOp,
    PbTxnResponse,
};

use super::compare;
use super::read::KeyView;
use crate::error::StoreError;

/// The branch that each transaction takes, nested ones included.
pub(super) struct TxnPath<'r> {
    succeeded: bool,
    pub(super) steps: Vec<TxnStep<'r>>,
}

pub(super) enum TxnStep<'r> {
    Op(&'r PbTxnOpRequest),
    Nested(TxnPath<'r>),
}

impl<'r> TxnPath<'r> {
    pub(super) fn decide(view: KeyView<'_>, request: &'r PbTxnRequest) -> Self {
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
                PbTxnOpRequest::RequestTxn(nested) => TxnStep::Nested(Self::decide(view, nested)),
                op => TxnStep::Op(op),
            })
            .collect();
        Self { succeeded, steps }
    }

    pub(super) fn check_ranges(&self, view: KeyView<'_>) -> Result<(), StoreError> {
        self.steps.iter().try_for_each(|step| match step {
            TxnStep::Op(PbTxnOpRequest::RequestRange(range)) => view.check_in_txn(range.revision),
            TxnStep::Op(_) => Ok(()),
            TxnStep::Nested(path) => path.check_ranges(view),
        })
    }

    pub(super) fn run(
        &self,
        runner: &mut impl OpRunner,
    ) -> Result<(bool, Vec<PbResponseOp>), StoreError> {
        let mut responses = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let response = match step {
                TxnStep::Op(op) => runner.run(op)?,
                TxnStep::Nested(path) => {
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

/// Runs a single operation.
pub(super) trait OpRunner {
    fn run(&mut self, op: &PbTxnOpRequest) -> Result<PbTxnOpResponse, StoreError>;
}
