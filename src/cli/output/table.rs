//! Aligned columns for people. Text stands left, numbers right; on a narrow terminal the least needed columns go first.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

use super::{Answer, Block, Field, Rank, Sheet};
use crate::model::foreign::{plain, width};

/// Prints an answer's blocks with an empty line between; columns above `rank` are left out, and more where `width` is short. A
/// table without rows says that there is nothing, so it is left out where not everything was answered.
pub fn print(out: &mut dyn Write, answer: &Answer, rank: Rank, width: Option<usize>) -> io::Result<()> {
    let is_blank = |block: &Block| !block.sheet.heads.is_empty() && block.sheet.rows.is_empty();
    let blocks = answer.blocks.iter().filter(|block| answer.complete || !is_blank(block));
    for (at, block) in blocks.enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        if let Some(title) = &block.title {
            for line in title.lines() {
                writeln!(out, "{}", plain(line))?;
            }
        }
        if block.sheet.heads.is_empty() {
            continue;
        }
        if block.upright {
            upright(out, &block.sheet)?;
        } else {
            lying(out, &block.sheet, rank, width)?;
        }
    }
    Ok(())
}

/// Every column, for there is room.
fn upright(out: &mut dyn Write, sheet: &Sheet) -> io::Result<()> {
    let left = sheet.heads.iter().map(|head| width(head.title)).max().unwrap_or(0);
    for (at, row) in sheet.rows.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        for (head, field) in sheet.heads.iter().zip(row) {
            writeln!(out, "{}  {}", padded(head.title, left, false), plain(&field.text))?;
        }
    }
    Ok(())
}

fn lying(out: &mut dyn Write, sheet: &Sheet, rank: Rank, width: Option<usize>) -> io::Result<()> {
    let widths: Vec<usize> = (0..sheet.heads.len()).map(|at| column_width(sheet, at)).collect();
    let mut shown: Vec<usize> = (0..sheet.heads.len())
        .filter(|at| sheet.heads[*at].rank <= rank)
        .collect();
    if let Some(width) = width {
        while line_width(&shown, &widths) > width {
            // The rightmost of the least needed.
            let rank_of = |at: &usize| sheet.heads[*at].rank;
            let Some(least) = shown
                .iter()
                .copied()
                .max_by_key(rank_of)
                .filter(|at| rank_of(at) > Rank::Always)
            else {
                break;
            };
            shown.retain(|at| *at != least);
        }
    }
    // Once for each column, not for each cell: a cluster has a hundred thousand partitions.
    let right: Vec<bool> = (0..sheet.heads.len())
        .map(|at| sheet.rows.iter().any(|row| row[at].right))
        .collect();
    let mut line = String::new();
    for at in &shown {
        push(&mut line, sheet.heads[*at].title, widths[*at], right[*at]);
    }
    writeln!(out, "{}", cut(&line, width))?;
    for row in &sheet.rows {
        line.clear();
        for at in &shown {
            push(&mut line, &plain(&row[*at].text), widths[*at], right[*at]);
        }
        writeln!(out, "{}", cut(&line, width))?;
    }
    Ok(())
}

fn column_width(sheet: &Sheet, at: usize) -> usize {
    let cells = sheet.rows.iter().map(|row: &Vec<Field>| width(&plain(&row[at].text)));
    cells.max().unwrap_or(0).max(width(sheet.heads[at].title))
}

fn line_width(shown: &[usize], widths: &[usize]) -> usize {
    shown.iter().map(|at| widths[*at] + 2).sum::<usize>().saturating_sub(2)
}

fn push(line: &mut String, text: &str, width: usize, right: bool) {
    if !line.is_empty() {
        line.push_str("  ");
    }
    line.push_str(&padded(text, width, right));
}

fn padded(text: &str, room: usize, right: bool) -> String {
    let space = " ".repeat(room.saturating_sub(width(text)));
    if right {
        format!("{space}{text}")
    } else {
        format!("{text}{space}")
    }
}

fn cut(line: &str, room: Option<usize>) -> String {
    let line = line.trim_end();
    match room {
        Some(room) if width(line) > room => {
            let mut short = String::new();
            let mut used = 1;
            for letter in line.chars() {
                used += letter.width().unwrap_or(0);
                if used > room {
                    break;
                }
                short.push(letter);
            }
            format!("{short}…")
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Head;
    use super::*;

    fn sheet() -> Sheet {
        let head = |key, rank| Head { key, title: key, rank };
        Sheet {
            heads: vec![
                head("ID", Rank::Always),
                head("HOST", Rank::Usual),
                head("SIZE", Rank::Usual),
                head("X", Rank::Wide),
            ],
            rows: vec![
                vec![
                    Field::number(1, 1),
                    Field::text("a"),
                    Field::number(7, "7 B"),
                    Field::text("x"),
                ],
                vec![
                    Field::number(12, 12),
                    Field::text("bü\x1bc"),
                    Field::number(7, "3.1 MB"),
                    Field::text("y"),
                ],
            ],
        }
    }

    fn answer(sheet: Sheet, complete: bool) -> Answer {
        Answer {
            complete,
            blocks: vec![Block {
                sheet,
                ..Block::default()
            }],
            ..Answer::default()
        }
    }

    fn print_text(answer: &Answer, rank: Rank, width: Option<usize>) -> String {
        let mut out = Vec::new();
        print(&mut out, answer, rank, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn printed(rank: Rank, width: Option<usize>) -> String {
        print_text(&answer(sheet(), true), rank, width)
    }

    #[test]
    fn a_table_without_rows_is_shown_where_that_is_the_answer() {
        let empty = || Sheet {
            rows: Vec::new(),
            ..sheet()
        };
        assert_eq!(print_text(&answer(empty(), true), Rank::Always, None), "ID\n");
        assert_eq!(print_text(&answer(empty(), false), Rank::Always, None), "");
        assert_eq!(print_text(&answer(sheet(), false), Rank::Always, None), "ID\n 1\n12\n");
    }

    #[test]
    fn numbers_stand_right_and_text_left() {
        assert_eq!(
            printed(Rank::Usual, None),
            "ID  HOST    SIZE\n 1  a        7 B\n12  bü c  3.1 MB\n"
        );
    }

    #[test]
    fn a_narrow_terminal_loses_the_least_needed_columns_first() {
        assert!(printed(Rank::Wide, Some(17)).starts_with("ID  HOST    SIZE\n"));
        assert!(printed(Rank::Wide, Some(10)).starts_with("ID  HOST\n"));
        assert!(printed(Rank::Wide, Some(3)).starts_with("ID\n"));
    }

    /// xorshift64*: the same everywhere.
    fn random(state: &mut u64, below: usize) -> usize {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }

    /// Letters of every width and direction, and everything that terminals obey.
    fn hostile(state: &mut u64) -> String {
        const PIECES: [&str; 20] = [
            "orders",
            "日本",
            "שלום",
            "لا",
            "e\u{301}",
            "\u{1b}[2J",
            "\u{1b}]0;owned\u{7}",
            "\u{9b}31m",
            "\r",
            "\n",
            "\t",
            "\u{8}\u{8}",
            "\u{202e}",
            "\u{2066}",
            "\u{200d}",
            "👩\u{200d}💻",
            "\u{feff}",
            "\u{2028}",
            "\0",
            " ",
        ];
        let count = random(state, 12);
        let mut text: String = (0..count).map(|_| PIECES[random(state, PIECES.len())]).collect();
        if random(state, 20) == 0 {
            text = text.repeat(200);
        }
        text
    }

    /// The rest of a line from a column on; none when a letter lies across it.
    fn from_column(line: &str, column: usize) -> Option<&str> {
        let mut used = 0;
        for (at, letter) in line.char_indices() {
            // Marks belong to the letter before them.
            if used == column && letter.width() != Some(0) {
                return Some(&line[at..]);
            }
            used += letter.width().unwrap_or(0);
        }
        (used <= column).then_some("")
    }

    #[test]
    fn whatever_a_name_holds_the_columns_stay_columns() {
        for seed in 1..400_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let head = |title| Head {
                key: title,
                title,
                rank: Rank::Always,
            };
            let rows: Vec<Vec<Field>> = (0..4)
                .map(|_| (0..3).map(|_| Field::text(hostile(&mut state))).collect())
                .collect();
            let sheet = Sheet {
                heads: vec![head("A"), head("B"), head("C")],
                rows,
            };
            let widths: Vec<usize> = (0..3).map(|at| column_width(&sheet, at)).collect();
            let printed = print_text(&answer(sheet.clone(), true), Rank::Wide, None);
            let lines: Vec<&str> = printed.split_terminator('\n').collect();
            assert_eq!(lines.len(), 5, "seed {seed}: one line for each row\n{printed:?}");
            assert!(
                !lines.iter().any(|line| line.chars().any(char::is_control)),
                "seed {seed}"
            );
            for (line, row) in lines[1..].iter().zip(&sheet.rows) {
                let mut column = 0;
                for (field, width) in row.iter().zip(&widths) {
                    let rest = from_column(line, column);
                    let shown = plain(&field.text);
                    let begins = rest.is_some_and(|rest| rest.starts_with(shown.trim_end()));
                    assert!(
                        begins || shown.trim().is_empty() || shown.chars().next().and_then(char::width) == Some(0),
                        "seed {seed}: {shown:?} does not stand in column {column} of {line:?}"
                    );
                    column += width + 2;
                }
            }
        }
    }
}
