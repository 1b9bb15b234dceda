//! Result of an order.

/// Result of an order, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderReport {
    /// The result, in one sentence.
    pub sentence: String,
    /// A warning about hosts that have not seen the order.
    pub warning: Option<String>,
}

impl OrderReport {
    pub(crate) const fn new(sentence: String) -> Self {
        Self {
            sentence,
            warning: None,
        }
    }
}
