//! Which columns fit, and how wide: the important ones first, a name shrinks before a key column is lost.

/// What a column asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Want {
    /// All that it has to show, with its bar.
    pub width: u16,
    /// It may shrink to this.
    pub min: u16,
    /// Smaller is more important; up to 1 it may make others shrink.
    pub rank: u8,
    /// Columns of space before it.
    pub gap: u16,
    /// Its bar may grow by this where there is room.
    pub grow: u16,
}

/// Places and widths of the columns that fit `room`, left to right: (column, x, width, extra bar).
pub fn fit(wants: &[Want], room: u16) -> Vec<(usize, u16, u16, u16)> {
    let mut order: Vec<usize> = (0..wants.len()).filter(|at| wants[*at].width > 0).collect();
    order.sort_by_key(|at| wants[*at].rank);
    let mut widths: Vec<Option<u16>> = vec![None; wants.len()];
    let mut left = i32::from(room);
    for at in order {
        let want = wants[at];
        let need = i32::from(want.gap) + i32::from(want.width);
        if need > left && want.rank <= 1 {
            left += shrink(wants, &mut widths, need - left);
        }
        let least = i32::from(want.gap) + i32::from(want.min);
        if need <= left {
            widths[at] = Some(want.width);
            left -= need;
        } else if want.rank == 0 && least <= left {
            widths[at] = Some((left - i32::from(want.gap)) as u16);
            left = 0;
        } else if want.rank > 1 {
            // A wide column of little weight must not keep a narrow one of less out, but order must tell what is missing.
            continue;
        }
    }
    left = give_back(wants, &mut widths, left);
    let bars = widths
        .iter()
        .zip(wants)
        .filter(|(width, want)| width.is_some() && want.grow > 0)
        .count() as i32;
    let extra = if bars > 0 {
        (left / bars).clamp(0, i32::from(u16::MAX)) as u16
    } else {
        0
    };
    place(wants, &widths, extra)
}

/// Takes `need` columns from what may shrink, widest slack first; nothing when there is not as much.
fn shrink(wants: &[Want], widths: &mut [Option<u16>], need: i32) -> i32 {
    let all: i32 = widths
        .iter()
        .zip(wants)
        .filter_map(|(width, want)| Some(i32::from(width.as_ref()?.saturating_sub(want.min))))
        .sum();
    if all < need {
        return 0;
    }
    let mut won = 0;
    while won < need {
        let slack = |at: &usize| widths[*at].map_or(0, |width| width.saturating_sub(wants[*at].min));
        let Some(at) = (0..wants.len()).max_by_key(slack).filter(|at| slack(at) > 0) else {
            break;
        };
        let take = (need - won).min(i32::from(slack(&at))) as u16;
        widths[at] = widths[at].map(|width| width - take);
        won += i32::from(take);
    }
    won
}

/// What shrank gets back what is left over, the most important first; the rest of it is returned.
fn give_back(wants: &[Want], widths: &mut [Option<u16>], mut left: i32) -> i32 {
    let mut order: Vec<usize> = (0..wants.len()).collect();
    order.sort_by_key(|at| wants[*at].rank);
    for at in order {
        let Some(width) = &mut widths[at] else { continue };
        let more = i32::from(wants[at].width.saturating_sub(*width)).min(left).max(0);
        *width += more as u16;
        left -= more;
    }
    left
}

fn place(wants: &[Want], widths: &[Option<u16>], extra: u16) -> Vec<(usize, u16, u16, u16)> {
    let mut x = 0;
    let mut placed = Vec::new();
    for (at, width) in widths.iter().enumerate() {
        let Some(width) = width else { continue };
        let more = wants[at].grow.min(extra);
        x += wants[at].gap;
        placed.push((at, x, width + more, more));
        x += width + more;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(width: u16, min: u16, rank: u8) -> Want {
        Want {
            width,
            min,
            rank,
            gap: 1,
            grow: 0,
        }
    }

    fn shown(wants: &[Want], room: u16) -> Vec<(usize, u16)> {
        fit(wants, room)
            .into_iter()
            .map(|(at, _, width, _)| (at, width))
            .collect()
    }

    #[test]
    fn the_least_important_columns_go_first() {
        let wants = [want(10, 10, 0), want(10, 10, 2), want(10, 10, 1)];
        assert_eq!(shown(&wants, 33), [(0, 10), (1, 10), (2, 10)]);
        assert_eq!(shown(&wants, 25), [(0, 10), (2, 10)]);
    }

    #[test]
    fn a_name_shrinks_for_an_important_column_but_not_for_another() {
        let wants = [want(30, 8, 0), want(10, 10, 1), want(10, 10, 3)];
        assert_eq!(shown(&wants, 36), [(0, 24), (1, 10)]);
        assert_eq!(shown(&wants, 12), [(0, 11)]);
    }

    #[test]
    fn what_shrank_gets_back_what_nobody_could_use() {
        let wants = [want(30, 8, 0), want(10, 10, 1), want(20, 20, 1)];
        assert_eq!(shown(&wants, 40), [(0, 28), (1, 10)]);
    }

    #[test]
    fn bars_grow_into_the_room_that_is_left() {
        let wants = [
            want(5, 5, 0),
            Want {
                grow: 8,
                ..want(9, 9, 1)
            },
        ];
        assert_eq!(fit(&wants, 30), [(0, 1, 5, 0), (1, 7, 17, 8)]);
    }

    #[test]
    fn an_empty_column_takes_no_room() {
        assert_eq!(
            shown(&[want(5, 5, 0), want(0, 0, 1), want(5, 5, 1)], 12),
            [(0, 5), (2, 5)]
        );
    }
}
