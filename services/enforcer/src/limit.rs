//! Every bound of the enforcer, in one place. Knows no behaviour.

use caerus_engine::time::Span;

/// Added to every expiry, because the clock here and the clock that dated the decision differ.
pub const CLOCK_SKEW: Span = Span::seconds(60);

/// Entries that one sweep of the picture takes out while it holds the lock.
pub const SWEEP_LEN_MAX: usize = 1_024;
/// *Units*: milliseconds between two sweeps for what has lapsed.
pub const SWEEP_EVERY_MS: u64 = 10_000;

/// Bytes of one name (user, session, device…) taken from a request; longer ones are refused.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Different values of the session cookie looked at in one request; more are refused.
pub const SESSIONS_PER_REQUEST_MAX: usize = 4;
/// Bytes of a bearer token; longer ones are not looked at.
pub const TOKEN_BYTES_MAX: usize = 16 * 1_024;
/// Bytes of a forwarded path; longer ones are refused.
pub const PATH_BYTES_MAX: usize = 8 * 1_024;
/// Values of a claim that holds several (`amr`, `acrs`, `xms_cc`, `aud`).
pub const CLAIM_VALUES_MAX: usize = 64;

/// Bytes of a key set's document.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1_024;
/// Keys taken from one key set.
pub const KEYS_MAX: usize = 64;
/// Keys tried for a token that names none.
pub const KEYS_TRIED_MAX: usize = 4;
/// *Units*: milliseconds for one fetch of the key set, connection included.
pub const KEY_SET_FETCH_MS_MAX: u64 = 5_000;
/// *Units*: milliseconds between two fetches that unknown key ids may cause.
pub const KEY_SET_COOLDOWN_MS: u64 = 15_000;
/// *Units*: milliseconds a request waits for the key set to be fetched anew.
pub const KEY_SET_WAIT_MS: u64 = 1_500;

/// *Units*: milliseconds for a connection to the stream, TLS and upgrade included.
pub const CONNECT_MS_MAX: u64 = 5_000;
/// *Units*: milliseconds; the first pause before the stream is dialled again.
pub const BACKOFF_MS_MIN: u64 = 100;
/// *Units*: milliseconds; the longest pause before the stream is dialled again.
pub const BACKOFF_MS_MAX: u64 = 10_000;
/// Heartbeats missed in a row after which the connection counts as dead.
pub const HEARTBEATS_MISSED_MAX: u64 = 5;
/// *Units*: milliseconds; silence shorter than this never ends a connection.
pub const SILENCE_MS_MIN: u64 = 3_000;
/// *Units*: milliseconds; silence longer than this always does.
pub const SILENCE_MS_MAX: u64 = 120_000;
/// Bytes of one frame from the server.
pub const FRAME_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Decisions applied before an acknowledgement is sent even when more are waiting.
pub const UNACKED_MAX: u64 = 256;

/// Bytes of one line of the saved picture.
pub const SAVED_LINE_BYTES_MAX: usize = 64 * 1_024;
/// Bytes of the saved picture; a larger file is not read.
pub const SAVED_BYTES_MAX: u64 = 1_024 * 1_024 * 1_024;
/// *Units*: milliseconds; at least this often the saved picture is told up to when it is complete.
pub const SAVED_MARK_EVERY_MS: u64 = 5_000;
/// Lines appended to the saved picture before it is written anew, beyond twice what it holds.
pub const SAVED_APPENDS_MIN: usize = 4_096;

/// Met step-ups waiting to be reported; more are dropped and counted.
pub const REPORTS_QUEUED_MAX: usize = 1_024;
/// Met step-ups remembered so that they are reported once.
pub const REPORTS_REMEMBERED_MAX: usize = 8_192;
/// Times one report is sent before it is given up and counted.
pub const REPORT_ATTEMPTS_MAX: u32 = 6;
/// *Units*: milliseconds for one report, connection included.
pub const REPORT_MS_MAX: u64 = 5_000;
/// Bytes of an answer to a report that are read.
pub const REPORT_ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// Bytes of an AuthZEN request.
pub const EVALUATION_BYTES_MAX: usize = 256 * 1_024;
/// Evaluations in one AuthZEN batch.
pub const EVALUATIONS_MAX: usize = 256;

const _: () = assert!(
    BACKOFF_MS_MIN < BACKOFF_MS_MAX,
    "the first pause is the shortest"
);
const _: () = assert!(
    REPORTS_QUEUED_MAX <= REPORTS_REMEMBERED_MAX,
    "what waits is remembered"
);
