//! `docs/protocol.md` and the code name the same kinds, limits and sections.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mqtt_p2p::wire::Kind;

const SPECIFICATION: &str = include_str!("../docs/protocol.md");
const LIMITS: &str = concat!(include_str!("../src/limits.rs"), include_str!("../src/limits/drivers.rs"));

/// The numbers of all headings, such as `3` and `3.2`.
fn sections() -> BTreeSet<&'static str> {
    SPECIFICATION
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter_map(|line| line.trim_start_matches('#').split_whitespace().next())
        .map(|number| number.trim_end_matches('.'))
        .collect()
}

fn text_of(section: &str) -> &'static str {
    let start = SPECIFICATION.find(section).expect("the section exists") + section.len();
    let rest = &SPECIFICATION[start..];
    &rest[..rest.find("\n##").unwrap_or(rest.len())]
}

#[test]
fn the_table_of_kinds_is_that_of_the_code() {
    let rows: Vec<(u64, String)> = text_of("### 4.2 Kinds")
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            Some((cells.next()?.parse().ok()?, cells.next()?.trim_matches('`').to_owned()))
        })
        .collect();
    let kinds: Vec<(u64, String)> = Kind::ALL.iter().map(|kind| (kind.number(), format!("{kind:?}"))).collect();
    assert_eq!(rows, kinds);
}

#[test]
fn every_kind_has_a_grammar() {
    for line in text_of("### 4.2 Kinds").lines().filter(|line| line.starts_with("| ")).skip(2) {
        let rule = line.split('|').nth(3).unwrap().trim().trim_matches('`');
        assert!(SPECIFICATION.contains(&format!("\n{rule} = ")), "{rule}");
    }
}

#[test]
fn every_limit_that_the_specification_names_exists() {
    let is_constant =
        |word: &&str| word.contains('_') && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let named: BTreeSet<&str> = SPECIFICATION.split('`').filter(is_constant).collect();
    assert!(named.len() > 20);
    for name in named.into_iter().filter(|name| *name != "UPDATE_VECTORS") {
        assert!(LIMITS.contains(&format!("pub const {name}:")), "{name} is not in src/limits.rs");
    }
}

/// The numbers in the specification's table are those of the code, in the units that it uses.
#[test]
fn the_table_of_limits_states_the_values_of_the_code() {
    use mqtt_p2p::limits::*;
    let mebibytes = |bytes: usize| format!("{} MiB", bytes >> 20);
    let count = |value: usize| {
        let text = value.to_string();
        if text.len() > 3 { format!("{},{}", &text[..text.len() - 3], &text[text.len() - 3..]) } else { text }
    };
    let bytes = |value: usize| format!("{} bytes", count(value));
    let expected = [
        ("MAX_INBOUND_PACKET_BYTES", mebibytes(MAX_INBOUND_PACKET_BYTES)),
        ("DEFAULT_MAX_MESSAGE_BYTES", mebibytes(DEFAULT_MAX_MESSAGE_BYTES)),
        ("MAX_HEADER_BYTES", bytes(MAX_HEADER_BYTES)),
        ("MAX_BODY_BYTES", mebibytes(MAX_BODY_BYTES)),
        ("MAX_ZSTD_WINDOW_LOG", format!("2^{MAX_ZSTD_WINDOW_LOG} bytes")),
        ("MAX_FRAGMENTS", count(MAX_FRAGMENTS as usize)),
        ("MAX_NAME_BYTES", bytes(MAX_NAME_BYTES)),
        ("MAX_LABEL_BYTES", bytes(MAX_LABEL_BYTES)),
        ("MAX_PRESENCE_LIST", count(MAX_PRESENCE_LIST)),
        ("MAX_CHANGES_PER_MESSAGE", count(MAX_CHANGES_PER_MESSAGE)),
        ("MAX_CHANGE_OPERATIONS", format!("2^{}", MAX_CHANGE_OPERATIONS.ilog2())),
        ("MAX_VOUCHERS_PER_MESSAGE", count(MAX_VOUCHERS_PER_MESSAGE)),
        ("VOUCHER_ACTOR_BYTES", format!("{} to {} bytes", VOUCHER_ACTOR_BYTES.start(), VOUCHER_ACTOR_BYTES.end())),
        ("MAX_HASHES_PER_LIST", count(MAX_HASHES_PER_LIST)),
        ("MAX_DOCUMENTS_PER_ANNOUNCEMENT", count(MAX_DOCUMENTS_PER_ANNOUNCEMENT)),
        ("MAX_SNAPSHOT_PARTS", count(MAX_SNAPSHOT_PARTS)),
        ("MAX_EPOCH_RECIPIENTS", count(MAX_EPOCH_RECIPIENTS)),
        ("MAX_PARTIES", count(MAX_PARTIES)),
        ("MAX_STATEMENTS_PER_PARTY", count(MAX_STATEMENTS_PER_PARTY)),
        ("MAX_APPLICATION_MESSAGE_BYTES", bytes(MAX_APPLICATION_MESSAGE_BYTES)),
    ];
    let rows: Vec<(&str, String)> = text_of("## 9. Limits")
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (cells[2].trim_matches('`'), cells[3].to_owned())
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_section_that_code_or_specification_cites_exists() {
    let sections = sections();
    let mut cited = 0;
    let mut check = |text: &str, marker: &str, origin: &Path| {
        for citation in text.split(marker).skip(1) {
            let end = citation.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(citation.len());
            let number = citation[..end].trim_end_matches('.');
            assert!(sections.contains(number), "{} cites section {number}", origin.display());
            cited += 1;
        }
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in
        source_files(&root.join("src")).into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs"))
    {
        check(&std::fs::read_to_string(&file).unwrap(), "docs/protocol.md`, section ", &file);
    }
    let own = SPECIFICATION.replace("RFC 8949, section", "RFC 8949");
    check(&own, "section ", Path::new("docs/protocol.md"));
    assert!(cited > 20);
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { source_files(&path) } else { vec![path] }).collect()
}
