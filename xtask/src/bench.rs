//! `cargo xtask bench GROUP`: ours beside a peer, on the same bytes, in one run.
//!
//! Every figure is one line: `bench GROUP NAME ours=… PEER=… ratio=…`.

use crate::house::House;
use crate::step;

/// Groups and the examples that measure them, by package.
const GROUPS: [(&str, &str, &str); 1] = [("decode", "meter-link", "bench_decode")];

/// Runs a group's benchmark.
pub(crate) fn bench(house: &House, group: Option<&str>) -> Result<(), String> {
    let known = || GROUPS.map(|(name, ..)| name).join(", ");
    let Some(group) = group else { return Err(format!("which group? There are: {}", known())) };
    let Some((_, package, example)) = GROUPS.iter().find(|(name, ..)| *name == group) else {
        return Err(format!("there is no such group: {group}; there are: {}", known()));
    };
    step::say(&format!("measuring {group}"));
    step::run(house.cargo().args(["run", "--quiet", "--profile", "bench", "-p", package, "--example", example]))
}
