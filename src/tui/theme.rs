//! Roles to styles, for the colours and the characters that this terminal has.

use ratatui::style::{Color, Modifier, Style};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::settings::appearance::{Colours, Glyphs};
use crate::settings::theme::{Look, Theme as File};

/// What a piece of the screen is for; a theme file gives each a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Role {
    Text,
    Muted,
    Accent,
    Title,
    Section,
    Border,
    Header,
    Footer,
    Key,
    Selection,
    Mark,
    Match,
    Ok,
    Warn,
    Error,
    Unknown,
    Stale,
    Gauge,
    Track,
    Prod,
    Staging,
    Dev,
    Badge,
    #[strum(serialize = "series-1")]
    Series1,
    #[strum(serialize = "series-2")]
    Series2,
    #[strum(serialize = "series-3")]
    Series3,
    #[strum(serialize = "series-4")]
    Series4,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the theme says nothing of the role `{0}`")]
    Missing(&'static str),
    #[error("the theme's role `{0}` is unknown")]
    Role(String),
    #[error("the theme's role `{role}` uses the colour `{name}`, which its palette does not have")]
    Palette { role: String, name: String },
    #[error("the theme's colour `{name}` = \"{value}\" is neither #rrggbb nor one of the terminal's 16")]
    Colour { name: String, value: String },
}

/// Every role's style, and whether only ASCII may be drawn.
#[derive(Debug, Clone)]
pub struct Theme {
    styles: Vec<Style>,
    glyphs: Glyphs,
}

impl Theme {
    /// Demands every role, so that nothing is ever drawn in a look that nobody chose.
    pub fn new(file: &File, colours: Colours, glyphs: Glyphs) -> Result<Self, Error> {
        if let Some(role) = file.roles.keys().find(|role| role.parse::<Role>().is_err()) {
            return Err(Error::Role(role.clone()));
        }
        for name in file.palette.keys() {
            colour(file, "", name, colours)?;
        }
        let style = |role: &Role| {
            let name: &'static str = role.into();
            let look = file.roles.get(name).ok_or(Error::Missing(name))?;
            style(file, name, look, colours)
        };
        let styles = Role::VARIANTS
            .iter()
            .map(style)
            .collect::<Result<Vec<Style>, Error>>()?;
        Ok(Self { styles, glyphs })
    }

    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    pub fn is_ascii(&self) -> bool {
        self.glyphs == Glyphs::Ascii
    }

    /// The ASCII stand-in of a character that we draw, of the same width.
    pub fn plain(symbol: &str) -> &'static str {
        match symbol {
            "●" | "◆" | "•" => "*",
            "○" => "o",
            "▸" => ">",
            "▲" => "^",
            "▼" => "v",
            "✖" => "x",
            "✓" => "v",
            "–" | "—" | "─" | "┄" | "━" => "-",
            "│" | "┃" | "▏" => "|",
            "·" | "…" => ".",
            "┌" | "┐" | "└" | "┘" | "╭" | "╮" | "╰" | "╯" | "┬" | "┴" | "├" | "┤" | "┼" => {
                "+"
            }
            "→" => ">",
            "←" => "<",
            "↵" => "<",
            "⚙" => "&",
            "▁" | "▂" => "_",
            "▃" | "▄" => "-",
            "▅" | "▆" => "=",
            "▇" | "█" => "#",
            "▉" | "▊" | "▋" => "#",
            "▌" | "▍" | "▎" => "=",
            "≤" => "<",
            "≥" => ">",
            "░" => ".",
            _ => "?",
        }
    }
}

fn style(file: &File, role: &str, look: &Look, colours: Colours) -> Result<Style, Error> {
    let mut style = Style::new();
    if let Some(name) = &look.fg {
        style.fg = colour(file, role, name, colours)?;
    }
    if let Some(name) = &look.bg {
        style.bg = colour(file, role, name, colours)?;
        // Without colours a background still has to be seen.
        if colours == Colours::None && role != "text" {
            style = style.add_modifier(Modifier::REVERSED);
        }
    }
    let modifiers = [
        (look.bold, Modifier::BOLD),
        (look.dim, Modifier::DIM),
        (look.italic, Modifier::ITALIC),
        (look.underline, Modifier::UNDERLINED),
        (look.reverse, Modifier::REVERSED),
    ];
    for (_, modifier) in modifiers.into_iter().filter(|(set, _)| *set) {
        style = style.add_modifier(modifier);
    }
    Ok(style)
}

fn colour(file: &File, role: &str, name: &str, colours: Colours) -> Result<Option<Color>, Error> {
    let unknown = || Error::Palette {
        role: role.to_owned(),
        name: name.to_owned(),
    };
    let [full, sixteen] = file.palette.get(name).ok_or_else(unknown)?;
    let wrong = |value: &str| Error::Colour {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let rgb = rgb(full).ok_or_else(|| wrong(full))?;
    let ansi = ansi(sixteen).ok_or_else(|| wrong(sixteen))?;
    Ok(match colours {
        Colours::None => None,
        Colours::Sixteen => Some(ansi),
        Colours::Indexed => Some(Color::Indexed(nearest(rgb))),
        Colours::True => Some(Color::Rgb(rgb.0, rgb.1, rgb.2)),
    })
}

fn rgb(text: &str) -> Option<(u8, u8, u8)> {
    let digits = text
        .strip_prefix('#')
        .filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    Some((part(0)?, part(2)?, part(4)?))
}

fn ansi(name: &str) -> Option<Color> {
    Some(match name {
        "black" => Color::Black,
        "red" => Color::Red,
        "green" => Color::Green,
        "yellow" => Color::Yellow,
        "blue" => Color::Blue,
        "magenta" => Color::Magenta,
        "cyan" => Color::Cyan,
        "white" => Color::Gray,
        "bright-black" => Color::DarkGray,
        "bright-red" => Color::LightRed,
        "bright-green" => Color::LightGreen,
        "bright-yellow" => Color::LightYellow,
        "bright-blue" => Color::LightBlue,
        "bright-magenta" => Color::LightMagenta,
        "bright-cyan" => Color::LightCyan,
        "bright-white" => Color::White,
        _ => return None,
    })
}

/// The nearest of xterm's colour cube and grey ramp.
fn nearest((r, g, b): (u8, u8, u8)) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let step = |value: u8| (0..6).min_by_key(|at| STEPS[*at].abs_diff(value)).unwrap_or(0);
    let distance = |(x, y, z): (u8, u8, u8)| {
        let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        square(x, r) + square(y, g) + square(z, b)
    };
    let (i, j, k) = (step(r), step(g), step(b));
    let cube = (distance((STEPS[i], STEPS[j], STEPS[k])), 16 + 36 * i + 6 * j + k);
    let grey = (0..24).map(|at| {
        let level = 8 + 10 * at as u8;
        (distance((level, level, level)), 232 + at)
    });
    let (_, index) = grey.chain([cube]).min().unwrap_or(cube);
    index as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::preset::Preset;

    #[test]
    fn a_role_without_a_look_is_refused_by_name() {
        let mut file = File::load("dark", None).unwrap();
        file.roles.remove("stale");
        assert_eq!(
            Theme::new(&file, Colours::True, Glyphs::Unicode).unwrap_err(),
            Error::Missing("stale")
        );
    }

    #[test]
    fn without_colours_the_selection_is_reversed() {
        let theme = Theme::new(&File::load("dark", None).unwrap(), Colours::None, Glyphs::Unicode).unwrap();
        let selection = theme.style(Role::Selection);
        assert_eq!((selection.fg, selection.bg), (None, None));
        assert!(selection.add_modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn colours_fall_back_to_what_the_terminal_has() {
        let file = File::load("dark", None).unwrap();
        let fg = |colours| Theme::new(&file, colours, Glyphs::Unicode).unwrap().style(Role::Ok).fg;
        assert_eq!(fg(Colours::True), Some(Color::Rgb(0x7e, 0xce, 0x89)));
        assert_eq!(fg(Colours::Sixteen), Some(Color::Green));
        assert!(matches!(fg(Colours::Indexed), Some(Color::Indexed(_))));
        assert_eq!(nearest((255, 255, 255)), 231);
        assert_eq!(nearest((8, 8, 8)), 232);
    }
}
