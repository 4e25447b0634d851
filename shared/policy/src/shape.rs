//! The bounds of a policy text, looked at before the parser sees it: Cedar's parser and its trees recurse, so that depth
//! must be limited by what goes in. Knows brackets, strings and comments, nothing of Cedar's grammar.

use crate::problem::{PolicyProblem, Source};

/// *Units*: bytes of one file.
pub(crate) const FILE_BYTES_MAX: usize = 256 * 1024;
/// *Units*: bytes of one policy, from the end of the former to its semicolon.
pub(crate) const POLICY_BYTES_MAX: usize = 8 * 1024;
/// Brackets open at once, `if`s in one policy, and members taken of members (`a.b.c`).
pub(crate) const NESTING_MAX: u32 = 24;
/// Times that one policy joins by `&&`, `||` or arithmetic: each nests all before it one deeper.
pub(crate) const JOINTS_MAX: u32 = 128;

struct Scan {
    depth: u32,
    ifs: u32,
    members: u32,
    joints: u32,
    policy_start: Option<usize>,
    word_start: Option<usize>,
    skipping: Skipping,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Skipping {
    Nothing,
    Text,
    /// Within a text, after a backslash.
    Escape,
    Comment,
}

/// *Errors*: the first place where the text exceeds a bound.
pub(crate) fn check(source: Source<'_>) -> Result<(), PolicyProblem> {
    if source.text.len() > FILE_BYTES_MAX {
        return Err(PolicyProblem::at(
            source,
            FILE_BYTES_MAX,
            format!("the file is longer than {FILE_BYTES_MAX} bytes"),
        ));
    }
    let mut scan = Scan {
        depth: 0,
        ifs: 0,
        members: 0,
        joints: 0,
        policy_start: None,
        word_start: None,
        skipping: Skipping::Nothing,
    };
    for (at, byte) in source.text.bytes().enumerate() {
        scan.take(source, at, byte)?;
    }
    Ok(())
}

impl Scan {
    fn take(&mut self, source: Source<'_>, at: usize, byte: u8) -> Result<(), PolicyProblem> {
        let was = self.skipping;
        self.skipping = match (was, byte) {
            (Skipping::Text, b'\\') => Skipping::Escape,
            (Skipping::Text, b'"') | (Skipping::Comment, b'\n') => Skipping::Nothing,
            (Skipping::Escape, _) => Skipping::Text,
            (Skipping::Nothing, b'"') => Skipping::Text,
            (Skipping::Nothing, b'/') if source.text.as_bytes().get(at + 1) == Some(&b'/') => {
                Skipping::Comment
            }
            (unchanged, _) => unchanged,
        };
        if self.skipping != Skipping::Comment && was != Skipping::Comment {
            self.measure(source, at, byte)?;
        }
        if was == Skipping::Nothing && self.skipping == Skipping::Nothing {
            self.nest(source, at, byte)?;
        }
        Ok(())
    }

    fn measure(&mut self, source: Source<'_>, at: usize, byte: u8) -> Result<(), PolicyProblem> {
        if self.policy_start.is_none() && !byte.is_ascii_whitespace() {
            self.policy_start = Some(at);
        }
        match self.policy_start {
            Some(start) if at - start >= POLICY_BYTES_MAX => Err(PolicyProblem::at(
                source,
                start,
                format!("the policy is longer than {POLICY_BYTES_MAX} bytes"),
            )
            .with_help("a policy ends with `;`")),
            _ => Ok(()),
        }
    }

    fn nest(&mut self, source: Source<'_>, at: usize, byte: u8) -> Result<(), PolicyProblem> {
        self.count_ifs(source, at, byte);
        match byte {
            b'(' | b'[' | b'{' => self.depth += 1,
            b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            b'.' => self.members += 1,
            b'&' | b'|' | b'+' | b'-' | b'*' => {
                self.members = 0;
                let is_second = at
                    .checked_sub(1)
                    .and_then(|at| source.text.as_bytes().get(at));
                if is_second != Some(&byte) || !matches!(byte, b'&' | b'|') {
                    self.joints += 1;
                }
            }
            b'=' | b'<' | b'>' | b',' => self.members = 0,
            b';' => {
                self.depth = 0;
                self.ifs = 0;
                self.members = 0;
                self.joints = 0;
                self.policy_start = None;
            }
            _ => {}
        }
        let help = "split the rule: rules of one scope add up";
        if self.depth.max(self.ifs).max(self.members) > NESTING_MAX {
            let message = format!("nested deeper than {NESTING_MAX}");
            return Err(PolicyProblem::at(source, at, message).with_help(help));
        }
        if self.joints > JOINTS_MAX {
            let message = format!("more than {JOINTS_MAX} conditions are joined in one policy");
            return Err(PolicyProblem::at(source, at, message).with_help(help));
        }
        Ok(())
    }

    fn count_ifs(&mut self, source: Source<'_>, at: usize, byte: u8) {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            self.word_start.get_or_insert(at);
        } else if let Some(start) = self.word_start.take()
            && source.text.as_bytes().get(start..at) == Some(b"if")
        {
            self.ifs += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Option<String> {
        let source = Source { name: "f", text };
        check(source).err().map(|problem| problem.to_string())
    }

    #[test]
    fn depth_is_bounded_by_brackets_and_ifs_alike() {
        let deep = "(".repeat(25);
        assert_eq!(
            message(&deep).as_deref(),
            Some("f:1:25: nested deeper than 24 (split the rule: rules of one scope add up)")
        );
        let ifs = "if true then true else ".repeat(25);
        assert!(message(&ifs).is_some_and(|m| m.contains("nested deeper")));
        assert_eq!(message(&"(".repeat(24)), None);
    }

    #[test]
    fn chains_are_bounded_and_each_policy_begins_anew() {
        let chain = "true && ".repeat(128);
        assert_eq!(message(&format!("{chain}; {chain};")), None);
        assert!(message(&format!("{chain} a || b")).is_some_and(|m| m.contains("128 conditions")));
        let members = |dots: usize| format!("a{}", " .b(c)".repeat(dots));
        assert_eq!(
            message(&format!("{} && {}", members(24), members(24))),
            None
        );
        assert!(message(&members(25)).is_some_and(|m| m.contains("nested deeper")));
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let text = format!("// {}\n\"{}\\\"((\" ;", "(".repeat(99), "(".repeat(99));
        assert_eq!(message(&text), None);
    }

    #[test]
    fn a_policy_has_a_length_and_each_semicolon_begins_a_new_one() {
        let half = format!("{};", "x".repeat(POLICY_BYTES_MAX / 2));
        assert_eq!(message(&half.repeat(3)), None);
        let long = format!("{half}\n  {}", "x".repeat(POLICY_BYTES_MAX + 1));
        assert_eq!(
            message(&long).as_deref(),
            Some("f:2:3: the policy is longer than 8192 bytes (a policy ends with `;`)")
        );
    }
}
