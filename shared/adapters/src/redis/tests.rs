//! What only real servers show.

use caerus_runtime::config::{Redis, RedisArrangement};
use caerus_runtime::secret::Secret;

/// The server that `make test` starts, under a prefix that nobody else has.
#[expect(
    clippy::disallowed_methods,
    reason = "where the servers are is told to tests by the environment"
)]
pub(crate) fn fresh_settings() -> Redis {
    let url = std::env::var("CAERUS_REDIS")
        .expect("CAERUS_REDIS says where Redis is: `make test` starts the servers and sets it");
    settings(&[url], RedisArrangement::Single)
}

fn settings(urls: &[String], arrangement: RedisArrangement) -> Redis {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).unwrap();
    Redis {
        urls: urls.iter().map(Secret::new).collect(),
        arrangement,
        prefix: format!("caerus-test-{}", hex::encode(random)),
    }
}
