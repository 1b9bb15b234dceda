//! Limits on messages.

/// The largest accepted write, in bytes: etcd's default for `--max-request-bytes`.
pub(super) const MAX_REQUEST_BYTES: usize = 1536 * 1024;

/// The largest message that is read at all, in bytes. etcd grants 512 KiB above the largest write, so that a
/// slightly larger one is refused in etcd's words and not by the transport.
pub(super) const MAX_MESSAGE_BYTES: usize = MAX_REQUEST_BYTES + 512 * 1024;
