//! An error with everything that caused it, as one line.

use std::{error::Error, fmt};

/// Displays an error and its sources in one line, skipping a source that the error before already
/// quotes.
///
/// Our own errors do not include their source's text; those of libraries often do.
#[derive(Clone, Copy)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said.push_str(&text);
            }
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    #[test]
    fn a_chain_says_everything_once() {
        let chain = |texts: [&'static str; 3]| {
            let [outer, middle, inner] = texts.map(|text| Layer { text, source: None });
            let middle = Layer { source: Some(Box::new(inner)), ..middle };
            let error = Layer { source: Some(Box::new(middle)), ..outer };
            Chain(&error).to_string()
        };
        let said = chain(["step failed", "no answer: refused", "refused"]);
        assert_eq!(said, "step failed: no answer: refused");
        assert_eq!(chain(["step failed", "step", "no route"]), "step failed: no route");
    }
}
