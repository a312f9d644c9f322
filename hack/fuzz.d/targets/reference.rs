//! Names of images: what is printed is read as the same image.
#![no_main]

use bloomery_fuzz::{grown, told};
use libfuzzer_sys::fuzz_target;
use metal_image::{AllowList, Digest, Name, Reference, Registry, Version, architecture::Machine};
use std::{fmt::Display, str::FromStr};

fuzz_target!(|text: &str| {
    let text = &grown(text);
    if let Some(reference) = stable::<Reference>(text) {
        assert!(reference.name.to_string().len() <= 255);
        assert!(
            !reference.name.repository().split('/').any(|part| matches!(part, "" | "." | ".."))
        );
        if text.contains('@') {
            assert!(matches!(reference.version, Version::Digest(_)), "a digest wins");
        }
    }
    stable::<Name>(text);
    stable::<Registry>(text);
    if let Some(digest) = stable::<Digest>(text) {
        assert_eq!(digest.to_string(), *text, "there is one form of a digest");
    }
    match AllowList::new(text.split(',')) {
        Ok(list) => {
            let printed = list.to_string();
            assert_eq!(AllowList::new(printed.split(',')).as_ref(), Ok(&list), "{printed}");
        }
        Err(error) => told(&error.to_string(), 1300),
    }
    let machine = Machine::named(text);
    assert_eq!(Machine::named(&machine.to_string()), machine);
    assert!(machine.runs(&machine));
});

fn stable<T: FromStr<Err: Display> + Display + PartialEq>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            let again = printed.parse::<T>();
            assert!(again.is_ok_and(|again| again == value), "{printed:?} is another");
            Some(value)
        }
        Err(error) => {
            told(&error.to_string(), 1300);
            None
        }
    }
}
