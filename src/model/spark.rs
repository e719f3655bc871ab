//! Spark lines: the shape of a number's last minutes in a few characters.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The block of a value between 0 and the most.
pub fn block(value: f64, most: f64) -> char {
    match most > 0.0 {
        true => BLOCKS[((value / most * 7.0).round() as usize).min(7)],
        false => BLOCKS[0],
    }
}

/// `▁▂▅▇` of at most `width` blocks, each the mean of its share of the points; scaled from 0, so that what is small
/// looks so. What hardly changes is a line in the middle, not a wall.
pub fn spark(points: &[f64], width: usize) -> String {
    let share = points.len().div_ceil(width.max(1)).max(1);
    let mean = |points: &[f64]| points.iter().sum::<f64>() / points.len() as f64;
    let points: Vec<f64> = points.chunks(share).map(mean).collect();
    let most = points.iter().copied().fold(0.0, f64::max);
    let least = points.iter().copied().fold(most, f64::min);
    if points.len() > 1 && most > 0.0 && most - least < most * 0.02 {
        return points.iter().map(|_| BLOCKS[3]).collect();
    }
    points.iter().map(|value| block(*value, most)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_line_is_scaled_from_zero() {
        assert_eq!(spark(&[0.0, 50.0, 100.0], 8), "▁▅█");
        assert_eq!(spark(&[0.0, 0.0], 8), "▁▁");
        assert_eq!(spark(&[], 8), "");
        assert_eq!(spark(&[500.0, 501.0, 502.0], 8), "▄▄▄");
    }

    #[test]
    fn many_points_share_few_blocks() {
        assert_eq!(spark(&[1.0, 3.0, 4.0, 4.0], 2), "▅█");
    }
}
