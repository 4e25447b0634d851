//! The attributes of a request's context, one by one, as the schema names them. Knows no policy.

/// A leaf of the context record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Attribute {
    Of,
    Tenant,
    Score,
    Level,
    Hypothesis,
    StolenCredential,
    HijackedSession,
    CompromisedDevice,
    Misuse,
    Codes,
    Network,
    Country,
    Acr,
    StepUpAge,
    SessionAge,
    DeviceId,
    Compliant,
    Managed,
    Os,
    DiskEncrypted,
    Edr,
    Jailbroken,
    AccountDisabled,
    Learning,
    SurgeUsers,
    SurgeFailed,
    SurgeShards,
}

impl Attribute {
    pub(crate) const ALL: [Self; 27] = [
        Self::Of,
        Self::Tenant,
        Self::Score,
        Self::Level,
        Self::Hypothesis,
        Self::StolenCredential,
        Self::HijackedSession,
        Self::CompromisedDevice,
        Self::Misuse,
        Self::Codes,
        Self::Network,
        Self::Country,
        Self::Acr,
        Self::StepUpAge,
        Self::SessionAge,
        Self::DeviceId,
        Self::Compliant,
        Self::Managed,
        Self::Os,
        Self::DiskEncrypted,
        Self::Edr,
        Self::Jailbroken,
        Self::AccountDisabled,
        Self::Learning,
        Self::SurgeUsers,
        Self::SurgeFailed,
        Self::SurgeShards,
    ];

    /// The path below `context`, with dots.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Of => "of",
            Self::Tenant => "tenant",
            Self::Score => "score",
            Self::Level => "level",
            Self::Hypothesis => "hypothesis",
            Self::StolenCredential => "scores.stolen_credential",
            Self::HijackedSession => "scores.hijacked_session",
            Self::CompromisedDevice => "scores.compromised_device",
            Self::Misuse => "scores.misuse",
            Self::Codes => "codes",
            Self::Network => "network",
            Self::Country => "country",
            Self::Acr => "acr",
            Self::StepUpAge => "step_up_age_s",
            Self::SessionAge => "session_age_s",
            Self::DeviceId => "device.id",
            Self::Compliant => "device.compliant",
            Self::Managed => "device.managed",
            Self::Os => "device.os",
            Self::DiskEncrypted => "device.disk_encrypted",
            Self::Edr => "device.edr",
            Self::Jailbroken => "device.jailbroken",
            Self::AccountDisabled => "account_disabled",
            Self::Learning => "learning",
            Self::SurgeUsers => "surge.users",
            Self::SurgeFailed => "surge.failed",
            Self::SurgeShards => "surge.shards",
        }
    }

    /// The leaves at or below a path; all of them for the empty path, the context itself.
    pub(crate) fn at_or_below(path: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |attribute| {
            path.is_empty()
                || attribute
                    .path()
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Is it a number, so that a policy can compare it with limits?
    pub(crate) fn is_number(self) -> bool {
        matches!(
            self,
            Self::Score
                | Self::StolenCredential
                | Self::HijackedSession
                | Self::CompromisedDevice
                | Self::Misuse
                | Self::StepUpAge
                | Self::SessionAge
                | Self::SurgeUsers
                | Self::SurgeFailed
                | Self::SurgeShards
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_leaves() {
        let below = |path: &str| Attribute::at_or_below(path).count();
        assert_eq!(below("score"), 1, "`scores` is another name");
        assert_eq!(below("scores"), 4);
        assert_eq!(below("device"), 7);
        assert_eq!(below(""), Attribute::ALL.len());
        assert_eq!(below("nothing"), 0);
    }
}
