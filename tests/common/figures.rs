//! Documents as words, and the numbers in them: in digits, as powers and in words.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A document, or the doc comment at the head of a source file.
pub struct Document {
    /// Its path from the root of the repository.
    pub path: String,
    /// Its words.
    pub words: Vec<Word>,
}

/// A word of a document.
pub struct Word {
    /// In small letters, without marks around it.
    pub text: String,
    /// The line on which it stands.
    pub line: usize,
    /// Whether the next word belongs to it: no mark and no border of a table is between them.
    goes_on: bool,
}

/// A number as a document says it, where a phrase stands.
pub struct Found<'a> {
    /// The document.
    pub document: &'a Document,
    /// Which of its words the number is.
    pub at: usize,
    /// The number.
    pub number: String,
}

impl Document {
    /// Of a text.
    pub fn new(path: &str, text: &str) -> Self {
        let mut words = Vec::new();
        for (line, text) in text.lines().enumerate() {
            let text = text.strip_prefix("//!").unwrap_or(text).replace(['*', '`'], "");
            for word in text.split_whitespace() {
                let (text, begins) = (bare(word), word.starts_with(char::is_alphanumeric));
                if let Some(Word { goes_on, .. }) = words.last_mut().filter(|_| !begins) {
                    *goes_on = false;
                }
                if !text.is_empty() {
                    let goes_on = word.ends_with(char::is_alphanumeric);
                    words.push(Word { text, line: line + 1, goes_on });
                }
            }
        }
        Self { path: path.to_owned(), words }
    }

    /// Where a phrase stands, with the number in the place of its `{}`.
    pub fn find(&self, phrase: &str) -> Vec<Found<'_>> {
        let phrase: Vec<String> = phrase.split_whitespace().map(bare).collect();
        let place = phrase.iter().position(|word| word.contains("{}")).expect("a place");
        let (before, after) = phrase[place].split_once("{}").unwrap();
        let fits = |at: &usize| {
            let words = &self.words[*at..];
            words.len() >= phrase.len()
                && (0..phrase.len()).all(|one| one == place || words[one].text == phrase[one])
        };
        let number = |at: usize| {
            let word = &self.words[at + place].text;
            number(word.strip_prefix(before)?.strip_suffix(after)?)
        };
        (0..self.words.len())
            .filter(fits)
            .filter_map(|at| Some(Found { document: self, at: at + place, number: number(at)? }))
            .collect()
    }

    /// The numbers over two that stand before a noun, outside of some places.
    pub fn counts(&self, nouns: &[&str], known: &BTreeSet<usize>) -> Vec<(usize, String)> {
        let pairs = self.words.windows(2).enumerate().filter(|(at, pair)| {
            let few = ["0", "1", "2"];
            let is_count = number(&pair[0].text).is_some_and(|number| !few.contains(&&*number));
            let is_of = pair[0].goes_on && nouns.contains(&pair[1].text.as_str());
            is_count && is_of && !known.contains(at)
        });
        pairs
            .map(|(_, pair)| (pair[0].line, format!("{} {}", pair[0].text, pair[1].text)))
            .collect()
    }
}

/// A word without the marks around it.
fn bare(word: &str) -> String {
    let word = word.replace(['*', '`'], "").to_lowercase();
    word.trim_matches(|one| "(),.;:\"[]|#".contains(one)).to_owned()
}

const WORDS: [(&str, &str); 26] = [
    ("one", "1"),
    ("two", "2"),
    ("twice", "2"),
    ("three", "3"),
    ("four", "4"),
    ("fourth", "4"),
    ("quarter", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("eleven", "11"),
    ("twelve", "12"),
    ("thirteen", "13"),
    ("fourteen", "14"),
    ("fifteen", "15"),
    ("sixteen", "16"),
    ("sixteenth", "16"),
    ("seventeen", "17"),
    ("twenty", "20"),
    ("thirty", "30"),
    ("sixty", "60"),
    ("sixty-four", "64"),
    ("thousand", "1000"),
];

/// The number that a word is, in plain digits; powers of two with a negative exponent stay as they are.
pub fn number(word: &str) -> Option<String> {
    if let Some((_, number)) = WORDS.iter().find(|(known, _)| *known == word) {
        return Some((*number).to_owned());
    }
    if let Some(exponent) = word.strip_prefix("2^") {
        let plain = exponent.parse::<u32>().ok().and_then(|exponent| 1_u128.checked_shl(exponent));
        let is_negative =
            exponent.strip_prefix('-').is_some_and(|rest| rest.parse::<u32>().is_ok());
        return plain.map(|number| number.to_string()).or(is_negative.then(|| word.to_owned()));
    }
    let digits = word.replace(',', "");
    let is_plain = digits.starts_with(|one: char| one.is_ascii_digit())
        && digits.chars().all(|one| one.is_ascii_digit() || one == '.');
    is_plain.then_some(digits)
}

/// What people read: the documents, and the head of every source file.
pub fn documents(sources: &[String]) -> Vec<Document> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<String> = sources.to_vec();
    for folder in ["", "docs", "docs/adr"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "md") {
                paths.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let read = |path: &String| {
        let text = fs::read_to_string(root.join(path)).unwrap();
        let head = |line: &&str| line.starts_with("//!");
        let heads = || text.lines().take_while(head).collect::<Vec<_>>().join("\n");
        let text = if path.ends_with(".rs") { heads() } else { text };
        Document::new(path, &text)
    };
    paths.iter().map(read).collect()
}
