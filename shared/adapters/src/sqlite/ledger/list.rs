//! Short lists of names in one column. Knows no tables.

use caerus_engine::id::TenantId;

/// No name holds a control character (checked where names enter).
const SEPARATOR: char = '\u{1f}';

pub(super) fn join<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    names.join(&SEPARATOR.to_string())
}

pub(super) fn split(column: &str) -> Vec<String> {
    if column.is_empty() {
        return Vec::new();
    }
    column.split(SEPARATOR).map(str::to_owned).collect()
}

pub(super) fn join_tenants(tenants: &[TenantId]) -> String {
    join(tenants.iter().map(TenantId::as_str))
}

pub(super) fn split_tenants(column: &str) -> Vec<TenantId> {
    split(column).into_iter().map(TenantId::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_reads_back() {
        for names in [&[][..], &["a"], &["a", "b,c", "d e"]] {
            assert_eq!(split(&join(names.iter().copied())), names);
        }
    }
}
