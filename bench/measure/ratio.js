/** Rows of the table that compare two programs, which were measured in turn. */
import { median } from './rounds.js';

/** A figure that has no goal: how `one` compares with `other`, round by round. */
export function comparison(what, found, measure, one, other) {
  const ratios = pairwise(found[one][measure], found[other][measure]);
  const ratio = median(ratios);
  return {
    what,
    figure: ratios.length > 0 ? `${ratio.toPrecision(3)} x` : 'no responses',
    goal: '',
    met: undefined,
    detail: `${spread(found[one][measure], measure)} to ${spread(found[other][measure], measure)}`,
    ratio,
  };
}

export function atMost(what, found, measure, one, other, goal) {
  const { ratio, ...row } = comparison(what, found, measure, one, other);
  return { ...row, goal: `<= ${goal} x`, met: ratio <= goal };
}

export function atLeast(what, found, measure, one, other, goal) {
  const { ratio, ...row } = comparison(what, found, measure, one, other);
  return { ...row, goal: `>= ${goal} x`, met: ratio >= goal };
}

/**
 * Round by round, since what else the machine does lasts for longer than a round. Rounds in which a program has sent no
 * response are left out.
 */
function pairwise(ones, others) {
  return ones.map((one, round) => one / others[round]).filter((ratio) => ratio > 0 && Number.isFinite(ratio));
}

function spread(values, measure) {
  const shown = (value) => (measure === 'cpu' && value < 1000 ? value.toFixed(1) : value.toFixed(0));
  const unit = measure === 'cpu' ? 'us' : '/s';
  return `${shown(median(values))} ${unit} (${shown(Math.min(...values))} - ${shown(Math.max(...values))})`;
}
