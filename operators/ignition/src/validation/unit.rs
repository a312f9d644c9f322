//! The text of a unit or a drop-in, as Ignition reads it (go-systemd, `unit/deserialize.go`).
//!
//! It differs from systemd: a comment ends a value, a carriage return keeps a line from being
//! continued, and a line must not be long. For any of that Ignition refuses the whole configuration,
//! at the first boot.

/// What Go reads at a time: whether a line is too long depends on where in it that ends.
const READ: usize = 4096;
/// So much of a line that was read and not taken is too long.
const LINE: usize = 2048;

const SECTIONS: &str = "a unit with section headers like [Service], each on its own line";
const OPTIONS: &str = "a unit with options like Name=value: a line is continued by a backslash at its \
     very end, and a comment ends a value";
const SHORT: &str = "a unit with lines of less than 2048 bytes: continue a longer one by a backslash at \
     its end";

/// Checks a text; an error says what it must be.
pub(crate) fn check(text: &str) -> Result<(), &'static str> {
    let mut unit = Unit { text, taken: 0, read: 0 };
    let mut next = Some(Step::Outside);
    while let Some(step) = next {
        if unit.has_long_line() {
            return Err(SHORT);
        }
        next = unit.take(step)?;
    }
    Ok(())
}

/// What is taken next.
#[derive(Clone, Copy)]
enum Step {
    /// A character before the first section.
    Outside,
    /// The name of a section.
    Section,
    /// The rest of its line.
    AfterSection,
    /// White space in a section, or the beginning of something else.
    Inside,
    /// The name of an option.
    Option,
    /// A line of its value.
    Value,
    /// A comment, in a section or before the first one.
    Comment { in_section: bool },
}

/// A text, and how many bytes of it were taken and read.
struct Unit<'a> {
    text: &'a str,
    taken: usize,
    read: usize,
}

impl<'a> Unit<'a> {
    /// Takes one step; returns the next one, or none at the end.
    fn take(&mut self, step: Step) -> Result<Option<Step>, &'static str> {
        let next = match step {
            Step::Outside => match self.char() {
                None => return Ok(None),
                Some('[') => Step::Section,
                Some('#' | ';') => Step::Comment { in_section: false },
                Some(_) => Step::Outside,
            },
            Step::Section => match self.past(b']') {
                Some(_) => Step::AfterSection,
                None => return Err(SECTIONS),
            },
            Step::AfterSection if self.line().trim().is_empty() => Step::Inside,
            Step::AfterSection => return Err(SECTIONS),
            Step::Inside => match self.char() {
                None => return Ok(None),
                Some('[') => Step::Section,
                Some('#' | ';') => Step::Comment { in_section: true },
                Some(space) if space.is_whitespace() => Step::Inside,
                Some(first) => {
                    self.taken -= first.len_utf8();
                    Step::Option
                }
            },
            Step::Option => self.option()?,
            Step::Value => {
                let line = self.line();
                let continues = line.ends_with('\\') && !line.trim().is_empty();
                if continues { Step::Value } else { Step::Inside }
            }
            Step::Comment { in_section } => {
                self.comment();
                if in_section { Step::Inside } else { Step::Outside }
            }
        };
        Ok(Some(next))
    }

    fn option(&mut self) -> Result<Step, &'static str> {
        loop {
            match self.char() {
                None | Some('\n' | '\r') => return Err(OPTIONS),
                Some('=') => return Ok(Step::Value),
                Some(_) => {}
            }
        }
    }

    fn comment(&mut self) {
        loop {
            let line = self.line();
            if !line.strip_suffix(' ').unwrap_or(line).ends_with('\\') {
                return;
            }
        }
    }

    fn char(&mut self) -> Option<char> {
        let char = self.text.get(self.taken..)?.chars().next()?;
        if self.taken + char.len_utf8() > self.read {
            self.fill();
        }
        self.taken += char.len_utf8();
        Some(char)
    }

    /// A line, or what is left of the text. Of `\r\n` the first remains.
    fn line(&mut self) -> &'a str {
        let rest = self.text.get(self.taken..).unwrap_or_default();
        let line = self.past(b'\n').unwrap_or(rest);
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.strip_suffix('\n').unwrap_or(line)
    }

    /// Everything up to and including this byte; none if it does not follow, and then all is taken.
    fn past(&mut self, end: u8) -> Option<&'a str> {
        let start = self.taken;
        loop {
            let ahead = self.text.as_bytes().get(self.taken..self.read).unwrap_or_default();
            if let Some(at) = ahead.iter().position(|byte| *byte == end) {
                self.taken += at + 1;
                return self.text.get(start..self.taken);
            }
            if ahead.len() >= READ || self.read == self.text.len() {
                self.taken = self.read;
            }
            if self.read == self.text.len() {
                return None;
            }
            self.fill();
        }
    }

    fn fill(&mut self) {
        self.read = self.text.len().min(self.taken + READ);
    }

    fn has_long_line(&self) -> bool {
        let ahead = self.text.as_bytes().get(self.taken..self.read).unwrap_or_default();
        let line = ahead.get(..LINE);
        line.is_some_and(|line| !line.iter().any(|byte| matches!(byte, b'\r' | b'\n')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_read_as_ignition_reads_it_and_not_as_systemd_does() {
        let long = |length: usize| format!("[Service]\nExecStart={}\n", "x".repeat(length));
        let rest = |length: usize| format!("{}[Install]\n", long(length));
        let cases: &[(&str, Result<(), &str>)] = &[
            ("", Ok(())),
            ("anything\n", Ok(())),
            ("[Unit]\nAfter=a\\\n  b\n\n[Install]\n", Ok(())),
            ("# \\\nno option\n[Unit]\n; c\n A = b", Ok(())),
            ("[Unit]\r\nAfter=a\r\n", Ok(())),
            ("[Unit]\nA=b \\\n# c \\\nd\n", Ok(())),
            ("[Unit]\nA=b \\\n\nB=c\n", Ok(())),
            ("[Unit]\nA=\u{e9}\u{20ac}\n\u{a0}B=c", Ok(())),
            ("[Unit", Err(SECTIONS)),
            ("[Unit] x\n", Err(SECTIONS)),
            ("[Unit]\nAfter\n", Err(OPTIONS)),
            ("[Unit]\nAfter", Err(OPTIONS)),
            ("[Service]\nExecStart=a \\\n# why\n  b\n", Err(OPTIONS)),
            ("[Service]\r\nExecStart=a \\\r\n  b\r\n", Err(OPTIONS)),
            ("[Service]\nExecStart=a \\\n\n  b\n", Err(OPTIONS)),
            (&long(2_000), Ok(())),
            (&long(2_100), Err(SHORT)),
            (&rest(5_000), Err(SHORT)),
            (
                &format!("[Service]\nExecStart={}\\\n{}\n", "x".repeat(2_000), "y".repeat(2_000)),
                Ok(()),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(check(text), *expected, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_read_to_its_end() {
        let options = "Environment=A=\u{20ac}\n".repeat(40_000);
        assert_eq!(check(&format!("[Service]\n{options}")), Ok(()));
        assert_eq!(check(&format!("[Service]\n{options}x")), Err(OPTIONS));
        let comment = format!("[Service]\n#{}\nA=b\n", " \\\n".repeat(40_000));
        assert_eq!(check(&comment), Ok(()));
    }
}
