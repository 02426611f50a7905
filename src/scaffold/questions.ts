/** Questions at a terminal. The library behind them is imported when the first one is asked. */
import { Interruption } from './interruption.ts';

export interface Choice {
  readonly value: string;
  readonly hint?: string | undefined;
}

export interface Questions {
  /** A line of text. `fault` says what is wrong with one, which is then asked for again. */
  line(question: string, standard: string | undefined, fault: (answer: string) => string | undefined): Promise<string>;
  /** One of several, with the arrow keys. */
  choice(question: string, choices: readonly Choice[], standard: string | undefined): Promise<string>;
  /** One of several by its key: keys to meanings. */
  key<Key extends string>(question: string, keys: Readonly<Record<Key, string>>): Promise<Key>;
}

/** @param signal ends a question that waits; it and Ctrl-C reject with an Interruption. */
export function terminalQuestions(signal: AbortSignal): Questions {
  const clack = () => import('@clack/prompts');
  return {
    async line(message, standard, fault) {
      const { text } = await clack();
      const validate = (answer: string | undefined) => fault(answer || (standard ?? ''));
      const shown = standard === undefined ? {} : { placeholder: standard, defaultValue: standard };
      return answered(await text({ message, validate, signal, ...shown }));
    },
    async choice(message, choices, standard) {
      const { select } = await clack();
      const options = choices.map(({ value, hint }) => (hint ? { value, hint } : { value }));
      return answered(
        await select<string>({
          message,
          options,
          signal,
          ...(standard === undefined ? {} : { initialValue: standard }),
        }),
      );
    },
    async key<Key extends string>(message: string, keys: Readonly<Record<Key, string>>) {
      const { selectKey } = await clack();
      const options = Object.entries<string>(keys).map(([value, label]) => ({ value, label }));
      return answered(await selectKey<string>({ message, options, signal })) as Key;
    },
  };
}

/** The library resolves with a symbol where the question was given up. */
function answered(answer: string | symbol): string {
  if (typeof answer === 'symbol') throw new Interruption();
  return answer;
}
