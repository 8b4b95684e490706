//! Queueing disciplines as tc(8) makes them, and as nslab does itself over netlink.

use crate::model::Percent;
use crate::model::conditions::{Chance, Delay, Distribution, GilbertElliott, Impairments, Jitter, Loss};
use crate::model::qdisc::{Netem, Qdiscs, Tbf};

/// The commands that set them, without `tc` itself.
pub(super) fn commands(Qdiscs { interface, shaping }: &Qdiscs) -> Vec<String> {
    let (dev, numbers) = (&interface.name, shaping.numbers());
    let mut commands = Vec::new();
    if let Some(netem) = &shaping.netem {
        commands.push(format!("qdisc replace dev {dev} root handle {:x}: {}", numbers.netem, netem_words(netem)));
    }
    if let Some(tbf) = &shaping.tbf {
        let parent = shaping.netem.map_or("root".to_owned(), |_| format!("parent {:x}:1", numbers.netem));
        commands.push(format!("qdisc replace dev {dev} {parent} handle {:x}: {}", numbers.tbf, tbf_words(tbf)));
    }
    if commands.is_empty() {
        commands.push(format!("qdisc delete dev {dev} root"));
    }
    commands
}

fn netem_words(Netem { impairments, limit_packets }: &Netem) -> String {
    let Impairments { delay, loss, duplicate, corrupt, reorder } = impairments;
    let mut words = format!("netem limit {limit_packets}");
    let mut add = |text: String| {
        words.push(' ');
        words.push_str(&text);
    };
    if let Some(Delay { time, jitter }) = delay {
        add(format!("delay {time}"));
        if let Some(Jitter { time, correlation, distribution }) = jitter {
            add(format!("{time}{}", behind(*correlation)));
            if *distribution != Distribution::Uniform {
                add(format!("distribution {}", distribution.as_str()));
            }
        }
    }
    match loss {
        None => {}
        Some(Loss::Random(of)) => add(format!("loss {}", chance(*of))),
        Some(Loss::Gemodel(GilbertElliott { turns_bad, turns_good, lost_while_bad, lost_while_good })) => {
            add(format!("loss gemodel {turns_bad} {turns_good} {lost_while_bad} {lost_while_good}"));
        }
    }
    for (word, of) in [("duplicate", duplicate), ("corrupt", corrupt), ("reorder", reorder)] {
        if let Some(of) = of {
            add(format!("{word} {}", chance(*of)));
        }
    }
    words
}

fn chance(Chance { probability, correlation }: Chance) -> String {
    format!("{probability}{}", behind(correlation))
}

fn behind(correlation: Percent) -> String {
    if correlation.is_zero() { String::new() } else { format!(" {correlation}") }
}

fn tbf_words(Tbf { rate_bytes_per_s, burst_kib, limit_bytes }: &Tbf) -> String {
    format!("tbf rate {}bit burst {} limit {limit_bytes}", rate_bytes_per_s * 8, burst_kib * 1024)
}
