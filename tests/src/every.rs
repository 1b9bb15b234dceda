//! One scenario, one test a store: a failure is named by both.
//!
//! A scenario is a function over a [`Version`](crate::etcd::Version) that returns `anyhow::Result<()>`. Its file
//! chooses the stores; a store that is left out is explained there.

/// Makes a test of each scenario for each store: etcd 3.4, etcd 3.5 and the embedded one.
///
/// After `async`, the scenarios are `async` functions.
#[macro_export]
macro_rules! on_every_store {
    (async $($scenario:ident),+ $(,)?) => { $(
        mod $scenario {
            $crate::one_async_test!(etcd_3_4, V3_4, $scenario);
            $crate::one_async_test!(etcd_3_5, V3_5, $scenario);
            $crate::one_async_test!(embedded, Embedded, $scenario);
        }
    )+ };
    ($($scenario:ident),+ $(,)?) => { $(
        mod $scenario {
            $crate::one_test!(etcd_3_4, V3_4, $scenario);
            $crate::one_test!(etcd_3_5, V3_5, $scenario);
            $crate::one_test!(embedded, Embedded, $scenario);
        }
    )+ };
}

/// As [`on_every_store!`], for scenarios that only etcd can run.
#[macro_export]
macro_rules! on_etcd {
    (async $($scenario:ident),+ $(,)?) => { $(
        mod $scenario {
            $crate::one_async_test!(etcd_3_4, V3_4, $scenario);
            $crate::one_async_test!(etcd_3_5, V3_5, $scenario);
        }
    )+ };
    ($($scenario:ident),+ $(,)?) => { $(
        mod $scenario {
            $crate::one_test!(etcd_3_4, V3_4, $scenario);
            $crate::one_test!(etcd_3_5, V3_5, $scenario);
        }
    )+ };
}

/// Part of [`on_every_store!`] and [`on_etcd!`]: one test.
#[doc(hidden)]
#[macro_export]
macro_rules! one_test {
    ($name:ident, $version:ident, $scenario:ident) => {
        #[test]
        fn $name() -> anyhow::Result<()> {
            super::$scenario($crate::etcd::Version::$version)
        }
    };
}

/// Part of [`on_every_store!`] and [`on_etcd!`]: one test.
#[doc(hidden)]
#[macro_export]
macro_rules! one_async_test {
    ($name:ident, $version:ident, $scenario:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() -> anyhow::Result<()> {
            super::$scenario($crate::etcd::Version::$version).await
        }
    };
}
