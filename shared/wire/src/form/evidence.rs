//! Forms of evidence.

use caerus_engine::evidence::{
    BindingChange, CheckState, Code, Detail, Evidence, Family, Novelty, NoveltyLevel, PlaceName,
    Strength,
};

use super::forms;

forms! {
    struct Evidence { code, key, nats, since, at, half_life, event, detail, network, device }
    enum Code {
        0 NetChain, 1 DevChain, 2 AuthChain, 3 Travel, 4 NetClass, 5 FailUser, 6 FailSucc,
        7 IpFanout, 8 TenantSpray, 9 MfaFatigue, 10 CredChange, 11 IdpRisk, 12 Posture,
        13 EdrAlert, 14 Binding, 15 AccRate, 16 AccFanout, 17 AccDeny, 18 AccVol, 19 Analyst,
    }
    enum Family {
        0 Network, 1 Geo, 2 DeviceNovelty, 3 Auth, 4 Campaign, 5 Reputation, 6 Vendor, 7 Posture,
        8 Binding, 9 Access, 10 Analyst,
    }
    enum Detail {
        0 Novelty(novelty),
        1 Familiar { observations },
        2 Authentication { methods, strength },
        3 Travel { km, minutes, from, to },
        4 NetworkClass(class),
        5 Failures { failed, window_s, expected },
        6 FailureThenSuccess { failed },
        7 Fanout { users, window_s, expected },
        8 Spray { failed, users, window_s },
        9 MfaFatigue { refused, accepted_after },
        10 CredentialChange { enrolled },
        11 ReportedRisk(level),
        12 Check { check, state },
        13 Alert { name, severity },
        14 Binding { changes },
        15 Requests { seen, window_s, expected },
        16 Volume { bytes, expected_bytes, observations },
        17 Verdict { verdict, by },
    }
    struct Novelty { level, value, observations, distinct }
    enum NoveltyLevel {
        0 Country, 1 Asn, 2 Prefix, 3 Device, 4 Os, 5 Browser, 6 BrowserMajor, 7 Method, 8 Factor,
    }
    enum Strength { 0 None, 1 Sms, 2 Otp, 3 Push, 4 PhishingResistant }
    struct PlaceName { city, country }
    enum CheckState {
        0 Failing,
        1 JustFailed,
        2 Edr(state),
        3 EdrJustChanged(state),
    }
    enum BindingChange {
        0 Country { from, to },
        1 Asn { from, to },
        2 AddressWithinAsn,
        3 KnownNetwork,
        4 Browser { from, to },
        5 DeviceKey,
    }
}
