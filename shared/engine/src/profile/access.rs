//! A caller's use of applications: the running hour, and what an hour usually holds.

use std::collections::BTreeSet;

use super::baseline::{LevelBaseline, LevelPrior, RateBaseline};
use crate::limits::RESOURCES_PER_WINDOW;
use crate::number::float;
use crate::time::{Span, Timestamp};

/// What an hour usually holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessProfile {
    /// ln(1 + bytes) in an hour.
    pub volume: LevelBaseline,
    pub requests: RateBaseline,
    pub resources: RateBaseline,
    pub refusals: RateBaseline,
}

/// One hour of one caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessHour {
    /// Hours since 1970-01-01T00:00Z.
    pub hour: i64,
    pub bytes: u64,
    pub requests: u32,
    pub refusals: u32,
    /// Hashes of app and resource; counted on past the bound by [`AccessHour::resources_beyond`].
    pub resources: BTreeSet<u64>,
    pub resources_beyond: u32,
    /// False once something in the hour scored too high to be learned.
    pub is_learnable: bool,
}

/// One hour's volume before anything is known of the caller: about 5 MB, give or take a factor of five.
pub const VOLUME_PRIOR: LevelPrior = LevelPrior {
    mean: 15.4,
    variance: 2.5,
    weight: 2.0,
};

impl AccessHour {
    pub fn starting(at: Timestamp) -> Self {
        Self {
            hour: hour_of(at),
            is_learnable: true,
            ..Self::default()
        }
    }

    pub fn add(&mut self, resource: Option<u64>, bytes: u64) {
        self.requests = self.requests.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        let Some(resource) = resource else { return };
        if self.resources.len() < RESOURCES_PER_WINDOW {
            self.resources.insert(resource);
        } else if !self.resources.contains(&resource) {
            self.resources_beyond = self.resources_beyond.saturating_add(1);
        }
    }

    pub fn distinct_resources(&self) -> u32 {
        let held = u32::try_from(self.resources.len()).unwrap_or(u32::MAX);
        held.saturating_add(self.resources_beyond)
    }

    /// ln(1 + bytes).
    pub fn volume_level(&self) -> f64 {
        libm::log1p(float(i64::try_from(self.bytes).unwrap_or(i64::MAX)))
    }
}

impl AccessProfile {
    /// Takes a finished hour into what is usual.
    pub fn learn(&mut self, hour: &AccessHour, now: Timestamp) {
        if !hour.is_learnable || hour.requests + hour.refusals == 0 {
            return;
        }
        if hour.bytes > 0 {
            self.volume.learn(hour.volume_level(), VOLUME_PRIOR, now);
        }
        self.requests.learn(f64::from(hour.requests), 1.0, now);
        self.resources
            .learn(f64::from(hour.distinct_resources()), 1.0, now);
        self.refusals.learn(f64::from(hour.refusals), 1.0, now);
    }
}

pub fn hour_of(at: Timestamp) -> i64 {
    at.0.div_euclid(Span::hours(1).0)
}
