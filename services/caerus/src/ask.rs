//! Questions to a running Caerus, answered as JSON or refused with what it says. Knows no command.

use anyhow::{Context as _, anyhow};
use caerus_wire::api::Listing;
use serde::de::DeserializeOwned;

use crate::client::{Answer, Client};
use crate::exit::Failure;

/// Pages of one list that are put together: a guard against a list without an end.
const PAGES_MAX: usize = 200;

/// A path with its query, each value percent-encoded.
pub(crate) fn path(path: &str, query: &[(&str, Option<&str>)]) -> String {
    let mut text = path.to_owned();
    let given = query
        .iter()
        .filter_map(|(name, value)| Some((*name, (*value)?)));
    for (index, (name, value)) in given.enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        text.push_str(&encoded(value));
    }
    text
}

/// *Source*: RFC 3986, section 2.3: all but the unreserved is encoded.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The answer, or what it says is wrong.
pub(crate) fn accepted(answer: Answer) -> Result<Answer, Failure> {
    if answer.is_success() {
        return Ok(answer);
    }
    Err(Failure::Failed(anyhow!("{}", answer.problem())))
}

pub(crate) async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, Failure> {
    let answer = accepted(client.get(path).await?)?;
    Ok(read(&answer)?)
}

/// All pages of a list. `query` is what each page is asked with, beside its place.
pub(crate) async fn list<T: DeserializeOwned>(
    client: &Client,
    of: &str,
    query: &[(&str, Option<&str>)],
) -> Result<Vec<T>, Failure> {
    let mut entries = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut asked = query.to_vec();
        asked.push(("after", after.as_deref()));
        let page: Listing<T> = get(client, &path(of, &asked)).await?;
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(entries)
}

pub(crate) fn read<T: DeserializeOwned>(answer: &Answer) -> anyhow::Result<T> {
    serde_json::from_str(&answer.body).context("could not read the answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_encoded_and_what_is_not_given_left_out() {
        assert_eq!(
            path(
                "/v1/subjects",
                &[
                    ("tenant", None),
                    ("name", Some("a&b=ü@x")),
                    ("kind", Some("user"))
                ]
            ),
            "/v1/subjects?name=a%26b%3D%C3%BC%40x&kind=user"
        );
        assert_eq!(path("/v1/tokens", &[("after", None)]), "/v1/tokens");
    }
}
