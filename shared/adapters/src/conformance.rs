//! Every adapter of a port passes the same suite, expanded here from `caerus_testkit::conformance`.

mod memory {
    mod bus {
        use std::sync::Arc;

        use caerus_runtime::port::{Bus, LogId};
        use caerus_testkit::conformance::bus::PARTITIONS;

        use crate::memory::MemoryBus;

        fn open() -> (Arc<dyn Bus>, ()) {
            (MemoryBus::new(LogId(42), PARTITIONS), ())
        }

        caerus_testkit::bus_suite!(open());
        caerus_testkit::compacting_bus_suite!(open());
    }

    mod record_store {
        use std::sync::Arc;

        use caerus_runtime::port::RecordStore;

        use crate::memory::MemoryRecordStore;

        fn open() -> (Arc<dyn RecordStore>, ()) {
            (MemoryRecordStore::new(), ())
        }

        caerus_testkit::record_store_suite!(open());
    }

    mod sources {
        use std::collections::VecDeque;
        use std::sync::{Arc, Mutex};

        use async_trait::async_trait;
        use caerus_runtime::port::PortResult;
        use caerus_runtime::port::sources::{
            HEADERS, SourceHeader, SourceMessage, SourcePartition, Sources,
        };
        use caerus_testkit::conformance::sources::{Outside, PARTITIONS, Stage};

        use crate::memory::{MemorySources, MemoryTopics};

        struct InMemory {
            topics: Arc<MemoryTopics>,
            members: Mutex<VecDeque<Arc<MemorySources>>>,
        }

        #[async_trait]
        impl Stage for InMemory {
            fn topic(&self) -> &str {
                "events"
            }

            async fn send(&self, partition: u32, message: Outside) -> PortResult<()> {
                let header = |(name, value)| {
                    let name = HEADERS.into_iter().find(|known| *known == name)?;
                    Some(SourceHeader { name, value })
                };
                let message = SourceMessage {
                    offset: 0,
                    value: message.value.unwrap_or_default(),
                    headers: message.headers.into_iter().filter_map(header).collect(),
                };
                let topic = self.topic().into();
                let to = SourcePartition { topic, partition };
                self.topics.send(&to, message).map(|_| ())
            }

            async fn join(&self) -> PortResult<Arc<dyn Sources>> {
                let member = self.topics.join();
                self.members.lock().unwrap().push_back(Arc::clone(&member));
                Ok(member)
            }

            async fn leave(&self) {
                let member = self.members.lock().unwrap().pop_front();
                member.unwrap().leave();
            }
        }

        fn open() -> (Arc<dyn Stage>, ()) {
            let topics = MemoryTopics::new(&[("events", PARTITIONS)]);
            let members = Mutex::default();
            (Arc::new(InMemory { topics, members }), ())
        }

        caerus_testkit::sources_suite!(open());
    }

    mod ledger {
        use std::sync::Arc;

        use caerus_runtime::port::Ledger;

        use crate::memory::MemoryLedger;

        fn open() -> (Arc<dyn Ledger>, ()) {
            (MemoryLedger::new(), ())
        }

        caerus_testkit::ledger_suite!(open());
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::PathBuf;

    use tempfile::TempDir;

    fn file(name: &str) -> (PathBuf, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (folder.path().join(name), folder)
    }

    mod bus {
        use std::sync::Arc;

        use caerus_runtime::port::{Bus, PortResult};
        use caerus_testkit::conformance::bus::PARTITIONS;
        use tempfile::TempDir;

        use super::file;
        use crate::sqlite::SqliteBus;

        async fn open() -> (Arc<dyn Bus>, TempDir) {
            let (path, folder) = file("log.db");
            (
                SqliteBus::open_lagging(path, PARTITIONS, 0).await.unwrap(),
                folder,
            )
        }

        caerus_testkit::bus_suite!(open().await);
        caerus_testkit::compacting_bus_suite!(open().await);

        mod durable {
            use super::{Arc, Bus, PortResult, SqliteBus, file};

            caerus_testkit::durable_bus_suite!({
                let (path, folder) = file("log.db");
                let open = async move |partitions| -> PortResult<Arc<dyn Bus>> {
                    let opened: Arc<dyn Bus> =
                        SqliteBus::open_lagging(&path, partitions, 0).await?;
                    Ok(opened)
                };
                (open, folder)
            });
        }
    }

    mod record_store {
        use std::sync::Arc;

        use caerus_runtime::port::{PortResult, RecordStore};
        use tempfile::TempDir;

        use super::file;
        use crate::sqlite::SqliteRecordStore;

        async fn open() -> (Arc<dyn RecordStore>, TempDir) {
            let (path, folder) = file("state.db");
            (SqliteRecordStore::open(path).await.unwrap(), folder)
        }

        caerus_testkit::record_store_suite!(open().await);

        mod durable {
            use super::{Arc, PortResult, RecordStore, SqliteRecordStore, file};

            caerus_testkit::durable_record_store_suite!({
                let (path, folder) = file("state.db");
                let open = async move || -> PortResult<Arc<dyn RecordStore>> {
                    let opened: Arc<dyn RecordStore> = SqliteRecordStore::open(&path).await?;
                    Ok(opened)
                };
                (open, folder)
            });
        }
    }

    mod ledger {
        use std::sync::Arc;

        use caerus_runtime::port::{Ledger, PortResult};
        use tempfile::TempDir;

        use super::file;
        use crate::sqlite::SqliteLedger;

        async fn open() -> (Arc<dyn Ledger>, TempDir) {
            let (path, folder) = file("ledger.db");
            (SqliteLedger::open(path).await.unwrap(), folder)
        }

        caerus_testkit::ledger_suite!(open().await);

        mod durable {
            use super::{Arc, Ledger, PortResult, SqliteLedger, file};

            caerus_testkit::durable_ledger_suite!({
                let (path, folder) = file("ledger.db");
                let open = async move || -> PortResult<Arc<dyn Ledger>> {
                    let opened: Arc<dyn Ledger> = SqliteLedger::open(&path).await?;
                    Ok(opened)
                };
                (open, folder)
            });
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    mod ledger {
        use std::sync::Arc;

        use caerus_runtime::port::{Ledger, PortResult};

        use crate::postgres::PostgresLedger;
        use crate::postgres::fixture::Schema;

        async fn open() -> (Arc<dyn Ledger>, Schema) {
            let schema = Schema::new().await;
            let ledger = PostgresLedger::connect(&schema.settings()).await.unwrap();
            (ledger, schema)
        }

        caerus_testkit::ledger_suite!(open().await);

        mod durable {
            use super::{Arc, Ledger, PortResult, PostgresLedger, Schema};

            caerus_testkit::durable_ledger_suite!({
                let schema = Schema::new().await;
                let settings = schema.settings();
                let open = async move || -> PortResult<Arc<dyn Ledger>> {
                    let opened: Arc<dyn Ledger> = PostgresLedger::connect(&settings).await?;
                    Ok(opened)
                };
                (open, schema)
            });
        }
    }
}

#[cfg(feature = "redis")]
mod redis {
    mod record_store {
        use std::sync::Arc;

        use caerus_runtime::port::{PortResult, RecordStore};

        use crate::redis::RedisRecordStore;
        use crate::redis::tests::fresh_settings;

        async fn open() -> (Arc<dyn RecordStore>, ()) {
            let settings = fresh_settings();
            (RedisRecordStore::connect(&settings).await.unwrap(), ())
        }

        caerus_testkit::record_store_suite!(open().await);

        mod durable {
            use super::{Arc, PortResult, RecordStore, RedisRecordStore, fresh_settings};

            caerus_testkit::durable_record_store_suite!({
                let settings = fresh_settings();
                let open = async move || -> PortResult<Arc<dyn RecordStore>> {
                    let opened: Arc<dyn RecordStore> = RedisRecordStore::connect(&settings).await?;
                    Ok(opened)
                };
                (open, ())
            });
        }
    }
}

#[cfg(feature = "kafka")]
mod kafka {
    mod bus {
        use std::sync::Arc;

        use caerus_runtime::port::{Bus, PortResult};
        use caerus_testkit::conformance::bus::PARTITIONS;

        use crate::kafka::KafkaBus;
        use crate::kafka::tests::fresh_settings;

        async fn open() -> (Arc<dyn Bus>, ()) {
            let settings = fresh_settings();
            (KafkaBus::connect(&settings, PARTITIONS).await.unwrap(), ())
        }

        caerus_testkit::bus_suite!(open().await);

        mod durable {
            use super::{Arc, Bus, KafkaBus, PortResult, fresh_settings};

            caerus_testkit::durable_bus_suite!({
                let settings = fresh_settings();
                let open = async move |partitions| -> PortResult<Arc<dyn Bus>> {
                    let opened: Arc<dyn Bus> = KafkaBus::connect(&settings, partitions).await?;
                    Ok(opened)
                };
                (open, ())
            });
        }
    }

    mod sources {
        use std::sync::Arc;

        use caerus_testkit::conformance::sources::{PARTITIONS, Stage};

        use crate::kafka::sources::tests::OnKafka;

        async fn open() -> (Arc<dyn Stage>, ()) {
            (OnKafka::open(PARTITIONS).await, ())
        }

        caerus_testkit::sources_suite!(open().await);
    }
}
