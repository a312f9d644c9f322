//! An error with everything that caused it, as one line.

use std::{error::Error, fmt};

/// Displays an error and its sources in one line, skipping a source that the error before already
/// quotes.
///
/// Our own errors do not include their source's text; those of libraries often do, some of them as a structure of
/// the program as well, which is left out.
#[derive(Clone, Copy)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = text(self.0);
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = text(error);
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said.push_str(&text);
            }
            next = error.source();
        }
        Ok(())
    }
}

/// What an error says, without its sources in the form that `Debug` has for structures: kube's says
/// `.. is forbidden: Forbidden (Status { status: .. })`.
fn text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let structure = format!(" ({source:?})");
        if structure.contains('{') {
            text = text.replace(&structure, "");
        }
        next = source.source();
    }
    text
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

    /// As kube's `Error::Api` is, and what quotes it.
    #[derive(Debug, thiserror::Error)]
    #[error("ApiError: {0} ({0:?})")]
    struct Quoting(#[source] Box<Layer>);

    #[derive(Debug, thiserror::Error)]
    #[error("no list: {0}")]
    struct Outer(#[source] Quoting);

    #[test]
    fn a_chain_has_no_structure_of_the_program() {
        let refused = || Quoting(Box::new(Layer { text: "no right (to list)", source: None }));
        assert_eq!(Chain(&refused()).to_string(), "ApiError: no right (to list)");
        let outer = Outer(refused());
        assert!(outer.to_string().contains("Layer {"), "{outer}");
        assert_eq!(Chain(&outer).to_string(), "no list: ApiError: no right (to list)");
    }
}
