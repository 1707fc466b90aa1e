//! What is wrong with a value, without the value: somebody may have put a password, or a URL with one, in the wrong place.

use std::fmt::Display;

/// How serde shows a text or a number that it did not expect, and what follows it.
const SHOWN: [(&str, &str, &str); 4] = [
    ("string \"", "\", expected", "a string"),
    ("integer `", "`, expected", "a number"),
    ("floating point `", "`, expected", "a number"),
    ("unknown variant `", "`, expected", "unknown word"),
];

/// What serde says, without the text or number that it found.
pub fn without_value(error: &impl Display) -> String {
    let text = error.to_string();
    for (before, after, instead) in SHOWN {
        if let (Some(start), Some(end)) = (text.find(before), text.rfind(after))
            && let (Some(head), Some(tail)) = (text.get(..start), text.get(end + 1..))
        {
            return format!("{head}{instead}{tail}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_left_out_and_what_was_expected_stays() {
        let error = |json| serde_json::from_str::<u16>(json).unwrap_err();
        let told = without_value(&error(r#""a \"secret\", expected""#));
        assert!(told.starts_with("invalid type: a string, expected u16"), "{told}");
        for number in ["123456", "-5", "0.125"] {
            let told = without_value(&serde_json::from_str::<String>(number).unwrap_err());
            assert!(told.starts_with("invalid type: a number, expected a string"), "{told}");
        }
        assert!(without_value(&error("true")).contains("boolean"));
        let told = without_value(&serde_json::from_str::<crate::service::Protocol>(r#""secret""#).unwrap_err());
        assert!(told.starts_with("unknown word, expected one of `mqtt`"), "{told}");
    }
}
