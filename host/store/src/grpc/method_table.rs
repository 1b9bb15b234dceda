//! The methods of etcd 3.5, by service, from its definitions.

/// Services and their methods.
pub(crate) const METHODS: [(&str, &str); 9] = [
    ("etcdserverpb.KV", "Range Put DeleteRange Txn Compact"),
    ("etcdserverpb.Watch", "Watch"),
    (
        "etcdserverpb.Lease",
        "LeaseGrant LeaseRevoke LeaseKeepAlive LeaseTimeToLive LeaseLeases",
    ),
    (
        "etcdserverpb.Cluster",
        "MemberAdd MemberRemove MemberUpdate MemberList MemberPromote",
    ),
    (
        "etcdserverpb.Maintenance",
        "Alarm Status Defragment Hash HashKV Snapshot MoveLeader Downgrade",
    ),
    (
        "etcdserverpb.Auth",
        "AuthEnable AuthDisable AuthStatus Authenticate UserAdd UserGet UserList UserDelete UserChangePassword \
         UserGrantRole UserRevokeRole RoleAdd RoleGet RoleList RoleDelete RoleGrantPermission \
         RoleRevokePermission",
    ),
    ("v3lockpb.Lock", "Lock Unlock"),
    (
        "v3electionpb.Election",
        "Campaign Proclaim Leader Observe Resign",
    ),
    ("grpc.health.v1.Health", "Check Watch"),
];

/// Returns the kind of a method, in the words of Go's metrics.
pub(crate) fn kind(service: &str, method: &str) -> &'static str {
    match (service, method) {
        ("etcdserverpb.Watch", "Watch") | (_, "LeaseKeepAlive") => "bidi_stream",
        (_, "Snapshot" | "Observe") | ("grpc.health.v1.Health", "Watch") => "server_stream",
        _ => "unary",
    }
}
