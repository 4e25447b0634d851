//! Where addresses lie, from MMDB files of MaxMind's nested and of the flat form. Knows no signals, and no thresholds.

mod record;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use caerus_engine::signal::{NetworkClass, Place};
use caerus_runtime::port::{Geo, PortError, PortErrorKind, PortResult};
use maxminddb::{MaxMindDbError, Reader};

use self::record::Record;

/// Several databases read as one: of each fact, the first that knows it wins, in the order they were given.
#[derive(Debug)]
pub struct GeoDatabases {
    databases: Vec<GeoDatabase>,
}

#[derive(Debug)]
struct GeoDatabase {
    path: PathBuf,
    reader: Reader<Vec<u8>>,
    /// One unreadable record is told of; the others of the same file are not.
    was_told: AtomicBool,
}

impl GeoDatabases {
    /// Reads the files whole into memory. No files: every place is unknown.
    ///
    /// *Errors*: `Refused` for a file that cannot be read, `Corrupt` for one that is no MMDB; both name it.
    pub fn open(paths: &[PathBuf]) -> PortResult<Self> {
        let databases = paths
            .iter()
            .map(|path| GeoDatabase::open(path))
            .collect::<PortResult<Vec<_>>>()?;
        Ok(Self { databases })
    }

    /// *Shape*: path, type and build time (seconds since 1970) of each database, in their order.
    pub fn describe(&self) -> Vec<(PathBuf, String, u64)> {
        self.databases
            .iter()
            .map(|database| {
                let metadata = database.reader.metadata();
                (
                    database.path.clone(),
                    metadata.database_type.clone(),
                    metadata.build_epoch,
                )
            })
            .collect()
    }
}

impl GeoDatabase {
    fn open(path: &Path) -> PortResult<Self> {
        let operation = || format!("read the geo database `{}`", path.display());
        let bytes = std::fs::read(path)
            .map_err(|error| PortError::new(PortErrorKind::Refused, operation()).because(error))?;
        let reader = Reader::from_source(bytes)
            .map_err(|error| PortError::new(PortErrorKind::Corrupt, operation()).because(error))?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            was_told: AtomicBool::new(false),
        })
    }

    fn record(&self, address: IpAddr) -> Option<Record> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return None;
        }
        match self.decode(address) {
            Ok(record) => record,
            Err(error) => {
                if !self.was_told.swap(true, Ordering::Relaxed) {
                    let path = self.path.display();
                    tracing::warn!(%path, %error, "geo database holds a record that cannot be read; such addresses are unknown");
                }
                None
            }
        }
    }

    fn decode(&self, address: IpAddr) -> Result<Option<Record>, MaxMindDbError> {
        self.reader.lookup(address)?.decode()
    }
}

impl Geo for GeoDatabases {
    fn locate(&self, address: IpAddr) -> Place {
        let address = address.to_canonical();
        let mut place = Place::default();
        let mut behind = NetworkClass::Unknown;
        let mut line = NetworkClass::Unknown;
        for record in self.databases.iter().filter_map(|one| one.record(address)) {
            place.country = place.country.or_else(|| record.country());
            place.asn = place.asn.or_else(|| record.asn());
            place.fix = place.fix.or_else(|| record.fix());
            if place.city.is_none() {
                place.city = record.city().map(str::to_owned);
            }
            behind = first_known(behind, record.behind());
            line = first_known(line, record.line());
        }
        // What an address hides behind says more than the line it came over, whichever file says it.
        place.class = first_known(behind, line);
        place
    }
}

fn first_known(known: NetworkClass, said: NetworkClass) -> NetworkClass {
    match known {
        NetworkClass::Unknown => said,
        _ => known,
    }
}

#[cfg(test)]
mod tests;
