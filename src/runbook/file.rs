//! A runbook as YAML says it, with the place of everything that can be wrong. `docs/runbook.schema.json` describes the same.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::value::Kind;

/// The version of the shape.
pub const VERSION: u32 = 1;

/// A whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// [`VERSION`].
    pub azimuth: Spanned<u32>,
    /// One line: what it is for.
    pub title: String,
    /// When to use it, what it does, what it needs.
    #[serde(default)]
    pub about: String,
    #[serde(default)]
    pub parameters: BTreeMap<String, Spanned<Parameter>>,
    pub steps: Vec<Spanned<Step>>,
    /// Steps that a failure may lead to, by a name that `on-failure` gives.
    #[serde(default)]
    pub rescue: BTreeMap<String, Vec<Spanned<Step>>>,
}

/// What is set with `--set NAME=VALUE`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parameter {
    #[serde(rename = "type", default)]
    pub kind: Kind,
    #[serde(default)]
    pub about: String,
    /// Without it the parameter must be set.
    #[serde(default)]
    pub default: Option<Spanned<Value>>,
    /// Nothing else is taken.
    #[serde(default)]
    pub choices: Vec<String>,
}

/// One step: exactly one of `check`, `wait`, `plan`, `apply`, `command`, `shell` and `prompt`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Step {
    pub name: Option<Spanned<String>>,
    pub about: String,
    /// A command that looks and answers yes or no.
    pub check: Option<Spanned<String>>,
    /// The words after `wait`.
    pub wait: Option<Spanned<String>>,
    /// A command that works out a plan and saves it.
    pub plan: Option<Spanned<String>>,
    /// The step whose plan is carried out.
    pub apply: Option<Spanned<String>>,
    /// Any other command.
    pub command: Option<Spanned<String>>,
    /// A script for /bin/sh on this host.
    pub shell: Option<Spanned<String>>,
    /// A question to a person, or to `--answer NAME=VALUE`.
    pub prompt: Option<Spanned<String>>,
    /// With `apply`: more flags of the command that carries the plan out.
    pub with: Option<Spanned<String>>,
    /// With `prompt`: what the answer may be.
    #[serde(rename = "type")]
    pub kind: Option<Spanned<Kind>>,
    /// With `prompt`: what stands where nobody is there to answer.
    pub default: Option<Spanned<Value>>,
    /// With `prompt`.
    pub choices: Vec<String>,
    /// With `shell`: variables of its environment.
    pub env: BTreeMap<String, Spanned<String>>,
    /// With `shell` or `command`: may be done again where it is not known whether it was done.
    pub repeatable: Option<Spanned<bool>>,
    /// Skipped unless this holds.
    pub when: Option<Spanned<String>>,
    /// Once for each value of this list, `${item}` being the value.
    pub each: Option<Spanned<String>>,
    /// What is no failure: `yes` (without it), `no`, `partial` or `any`.
    pub expect: Option<Spanned<Expect>>,
    pub retry: Option<Spanned<Retry>>,
    /// `stop` (without it), `continue`, or the name of a rescue.
    pub on_failure: Option<Spanned<String>>,
    /// Values for later steps: where they lie in the answer.
    pub outputs: BTreeMap<String, Spanned<String>>,
    /// Another context than the run's.
    pub context: Option<Spanned<String>>,
    /// The command's `--timeout`.
    pub timeout: Option<Spanned<String>>,
}

/// What is no failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, strum::VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Expect {
    #[default]
    Yes,
    No,
    /// Yes, also where only part of the answer was had.
    Partial,
    /// Yes or no, also in part.
    Any,
}

/// How often a step that failed is tried again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retry {
    /// In all, the first included.
    pub times: u32,
    /// Between two of them.
    pub every: Spanned<String>,
}
