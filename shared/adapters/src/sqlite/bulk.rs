//! Statements over many rows at once, in a few sizes so that each is prepared once. Knows no tables.

use std::sync::Arc;

/// Rows of one statement at most: 2 to this power.
const ROWS_POWER_MAX: u32 = 7;

/// The texts of one statement for 1, 2, 4 … 128 rows.
#[derive(Debug)]
pub(crate) struct Bulk {
    /// By power of two, ascending.
    texts: Vec<Arc<str>>,
}

impl Bulk {
    /// `head`, then `row` once for each row, parted by commas, then `tail`.
    pub(crate) fn new(head: &str, row: &str, tail: &str) -> Self {
        let text = |power: u32| {
            let rows = vec![row; 1 << power].join(",");
            Arc::from(format!("{head} {rows} {tail}"))
        };
        Self {
            texts: (0..=ROWS_POWER_MAX).map(text).collect(),
        }
    }

    /// The largest statement that `waiting` rows fill: its number of rows, and its text. `None` for no rows.
    pub(crate) fn filled_by(&self, waiting: usize) -> Option<(usize, Arc<str>)> {
        let power = waiting.checked_ilog2()?.min(ROWS_POWER_MAX);
        self.sized(power)
    }

    /// The smallest statement that holds `waiting` rows, or the largest there is; `None` for no rows. For statements
    /// in which a row may be repeated.
    pub(crate) fn holding(&self, waiting: usize) -> Option<(usize, Arc<str>)> {
        waiting.checked_ilog2()?;
        let power = waiting.next_power_of_two().ilog2().min(ROWS_POWER_MAX);
        self.sized(power)
    }

    fn sized(&self, power: u32) -> Option<(usize, Arc<str>)> {
        let text = self.texts.get(usize::try_from(power).ok()?)?;
        Some((1 << power, Arc::clone(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_cut_into_prepared_sizes() {
        let bulk = Bulk::new("VALUES", "(?)", "");
        let mut waiting = 300;
        let mut sizes = Vec::new();
        while let Some((rows, text)) = bulk.filled_by(waiting) {
            assert_eq!(text.matches("(?)").count(), rows);
            sizes.push(rows);
            waiting -= rows;
        }
        assert_eq!(sizes, [128, 128, 32, 8, 4]);
    }

    #[test]
    fn a_padded_statement_holds_all_that_wait_up_to_its_limit() {
        let bulk = Bulk::new("", "?", "");
        let sizes = [0, 1, 3, 128, 500].map(|waiting| bulk.holding(waiting).map(|(rows, _)| rows));
        assert_eq!(sizes, [None, Some(1), Some(4), Some(128), Some(128)]);
    }
}
