//! The catalogue's words for what happened here. Knows the metrics' labels and nothing else of telemetry.

use caerus_engine::decide::{Action, Mode};
use caerus_engine::score::IgnoreReason;
use caerus_engine::signal::Fact;
use caerus_engine::step::Input;
use caerus_runtime::metric::label;
use caerus_wire::entry::Entry;

use crate::fold::check::Breach;

pub(crate) fn action(action: &Action) -> label::Action {
    match action {
        Action::Clear => label::Action::Clear,
        Action::Restrict(_) => label::Action::Restrict,
        Action::StepUp { .. } => label::Action::StepUp,
        Action::Revoke => label::Action::Revoke,
    }
}

pub(crate) fn mode(mode: Mode) -> label::Mode {
    match mode {
        Mode::Enforce => label::Mode::Enforce,
        Mode::Shadow => label::Mode::Shadow,
    }
}

pub(crate) fn ignored(reason: IgnoreReason) -> label::Ignored {
    match reason {
        IgnoreReason::Repeat => label::Ignored::Repeat,
        IgnoreReason::RepeatWithAnotherBody => label::Ignored::RepeatWithAnotherBody,
        IgnoreReason::UnknownSubject => label::Ignored::UnknownSubject,
        IgnoreReason::OtherTenant => label::Ignored::OtherTenant,
        IgnoreReason::Misdirected => label::Ignored::Misdirected,
        IgnoreReason::Stale => label::Ignored::Stale,
    }
}

pub(crate) fn invariant(breach: Breach) -> label::Invariant {
    match breach {
        Breach::GenerationFell => label::Invariant::Inv1,
        Breach::DoesNotAddUp => label::Invariant::Inv3,
        Breach::CrossedOver => label::Invariant::Inv10,
    }
}

pub(crate) fn kind(entry: &Entry) -> label::SignalKind {
    use label::SignalKind as Kind;
    match entry {
        Entry::Input { input, .. } => match input {
            Input::Signal(signal) => fact(&signal.fact),
            Input::Command(_) => Kind::Command,
            Input::WakeUp(_) => Kind::WakeUp,
        },
        Entry::Climate(_) => Kind::Climate,
        Entry::Policy(_) => Kind::Policy,
        Entry::Watermark { .. } => Kind::Watermark,
        Entry::Claim { .. } => Kind::Claim,
    }
}

fn fact(fact: &Fact) -> label::SignalKind {
    use label::SignalKind as Kind;
    match fact {
        Fact::Login(_) => Kind::Login,
        Fact::Access(_) => Kind::Access,
        Fact::Health(_) => Kind::Health,
        Fact::Session(_) => Kind::Session,
        Fact::Feedback(_) => Kind::Feedback,
        Fact::NetworkLogin(_) => Kind::NetworkLogin,
        Fact::TenantLogin(_) => Kind::TenantLogin,
        Fact::DeviceSeen { .. } => Kind::DeviceSeen,
        Fact::DeviceStanding(_) => Kind::DeviceStanding,
        Fact::TenantSurge { .. } => Kind::TenantSurge,
    }
}
