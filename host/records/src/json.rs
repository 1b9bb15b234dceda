//! Records as JSON, and the error for bytes that are not one.

use serde::de::DeserializeOwned;

/// Error for bytes that are not a record.
#[derive(Debug, thiserror::Error)]
#[error("this is not a record of ours: {0}")]
pub struct RecordError(#[from] serde_json::Error);

/// Implements `to_json` and `from_json` for records without a shorter stored form.
macro_rules! impl_json {
    ($($record:ty),*) => { $(
        impl $record {
            /// Returns the record as JSON bytes.
            pub fn to_json(&self) -> Vec<u8> {
                // Strings, numbers and lists of them always serialize.
                serde_json::to_vec(self).unwrap_or_default()
            }

            /// Parses the record.
            ///
            /// # Errors
            ///
            /// [`RecordError`](crate::RecordError) when the bytes are not such a record.
            pub fn from_json(bytes: &[u8]) -> Result<Self, $crate::json::RecordError> {
                $crate::json::read(bytes)
            }
        }
    )* };
}

pub(crate) use impl_json;

/// Parses a record.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    Ok(serde_json::from_slice(bytes)?)
}
