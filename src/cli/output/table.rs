//! Aligned columns for people. Text stands left, numbers right; on a narrow terminal the least needed columns go first.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::{Block, Field, Rank, Sheet};

/// Prints blocks with an empty line between; columns above `rank` are left out, and more where `width` is short.
pub fn print(out: &mut dyn Write, blocks: &[Block], rank: Rank, width: Option<usize>) -> io::Result<()> {
    for (at, block) in blocks.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        if let Some(title) = &block.title {
            for line in title.lines() {
                writeln!(out, "{}", clean(line))?;
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
    let left = sheet.heads.iter().map(|head| head.title.width()).max().unwrap_or(0);
    for (at, row) in sheet.rows.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        for (head, field) in sheet.heads.iter().zip(row) {
            writeln!(out, "{}  {}", padded(head.title, left, false), clean(&field.text))?;
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
    let right = |at: usize| sheet.rows.iter().any(|row| row[at].right);
    let mut line = String::new();
    for at in &shown {
        push(&mut line, sheet.heads[*at].title, widths[*at], right(*at));
    }
    writeln!(out, "{}", cut(&line, width))?;
    for row in &sheet.rows {
        line.clear();
        for at in &shown {
            push(&mut line, &clean(&row[*at].text), widths[*at], right(*at));
        }
        writeln!(out, "{}", cut(&line, width))?;
    }
    Ok(())
}

fn column_width(sheet: &Sheet, at: usize) -> usize {
    let cells = sheet.rows.iter().map(|row: &Vec<Field>| clean(&row[at].text).width());
    cells.max().unwrap_or(0).max(sheet.heads[at].title.width())
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

fn padded(text: &str, width: usize, right: bool) -> String {
    let space = " ".repeat(width.saturating_sub(text.width()));
    if right {
        format!("{space}{text}")
    } else {
        format!("{text}{space}")
    }
}

/// Text from a cluster must not move the cursor.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

fn cut(line: &str, width: Option<usize>) -> String {
    let line = line.trim_end();
    match width {
        Some(width) if line.width() > width => {
            let mut short = String::new();
            for letter in line.chars() {
                if short.width() + 1 + unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0) > width {
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

    fn printed(rank: Rank, width: Option<usize>) -> String {
        let mut out = Vec::new();
        let block = Block {
            sheet: sheet(),
            ..Block::default()
        };
        print(&mut out, &[block], rank, width).unwrap();
        String::from_utf8(out).unwrap()
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
}
