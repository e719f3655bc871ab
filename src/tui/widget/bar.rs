//! A bar of eighths: `███▌    `.

const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The filled part and the empty part of a bar `width` columns wide. Anything above 0 shows at least a sliver.
pub fn bar(share: f64, width: u16) -> (String, String) {
    let width = usize::from(width);
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    let (full, part) = (eighths / 8, eighths % 8);
    let filled = "█".repeat(full) + EIGHTHS[part];
    let empty = " ".repeat(width - full - usize::from(part > 0));
    (filled, empty)
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_fills_its_width() {
        assert_eq!(bar(0.5, 8), ("████".into(), "    ".into()));
        assert_eq!(bar(1.0, 4), ("████".into(), String::new()));
        assert_eq!(bar(0.0, 3), (String::new(), "   ".into()));
        assert_eq!(bar(0.001, 3), ("▏".into(), "  ".into()));
        assert_eq!(bar(9.0, 2), ("██".into(), String::new()));
    }
}
