//! A look at a text before it is parsed: how deep its brackets go, and how many operators it has.
//!
//! Cedar's parser goes as deep as its text, and a chain of operators becomes a tree as deep as the chain is long. Neither
//! may reach it unbounded. This knows only strings, comments, brackets and words, and counts a little too much at worst.

/// What the scan has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Brackets and `if`s open at once, at most.
    pub depth: usize,
    /// Operators, field accesses included. Each makes a node, but for those in paths behind `has`.
    pub operators: usize,
}

pub(super) fn scan(text: &str) -> Scan {
    let bytes = text.as_bytes();
    let mut scan = Scan::default();
    // What was open around each open bracket; an `if` closes with the bracket, comma or semicolon behind it.
    let mut around: Vec<usize> = Vec::new();
    let mut open = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let step = match rest[0] {
            b'"' => string(rest),
            b'/' if rest.get(1) == Some(&b'/') => line(rest),
            b'(' | b'[' | b'{' => {
                around.push(open);
                open += 1;
                1
            }
            b')' | b']' | b'}' => {
                open = around.pop().unwrap_or(0);
                1
            }
            b',' | b';' => {
                open = around.last().map_or(0, |outer| outer + 1);
                1
            }
            b'&' | b'|' | b'=' | b'!' | b'<' | b'>' => {
                scan.operators += 1;
                if matches!(rest.get(1), Some(b'&' | b'|' | b'=')) { 2 } else { 1 }
            }
            b'+' | b'-' | b'*' | b'/' | b'%' | b'.' => {
                scan.operators += 1;
                1
            }
            byte if is_word(byte) => {
                let len = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
                match &rest[..len] {
                    b"if" => {
                        open += 1;
                        scan.operators += 1;
                    }
                    b"in" | b"has" | b"like" | b"is" => scan.operators += 1,
                    _ => {}
                }
                len
            }
            _ => 1,
        };
        scan.depth = scan.depth.max(open);
        at += step;
    }
    scan
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Bytes of the string at the front, both quotes included; all the rest if nothing closes it.
fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn line(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n' || *byte == b'\r').unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_ifs_and_operators_are_counted_and_texts_are_not() {
        let table = [
            ("", 0, 0),
            ("permit(principal, action, resource);", 1, 0),
            ("when { ((1 + 2) == [3, [4]]) }", 4, 2),
            ("\"((((\\\"((((\" // ((((\n(", 1, 0),
            ("if a then b else if c then d else if e then f else g", 3, 3),
            ("[if a then b else c, if d then e else f]; if g", 2, 3),
            ("a.b.c && !d || e", 0, 5),
            ("\"never closed ((((", 0, 0),
            ("))))((", 2, 0),
            ("\"\\", 0, 0),
        ];
        for (text, depth, operators) in table {
            assert_eq!(scan(text), Scan { depth, operators }, "{text}");
        }
    }
}
