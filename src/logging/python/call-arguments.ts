/** Assigns `args` and `kwargs` of a handler to the parameters of its class. Each value keeps its position in the text. */
import { nearest } from '../../config/nearest.ts';
import type { PythonNode, PythonValue } from './python-literal.ts';

/** What is wrong with an argument, where in the text it is, and what to do. */
export class ArgumentError extends Error {
  readonly node: PythonNode;
  readonly hint: string | undefined;

  constructor(message: string, node: PythonNode, hint?: string) {
    super(message);
    this.node = node;
    this.hint = hint;
  }
}

export class CallArguments {
  readonly #given = new Map<string, PythonNode>();
  readonly #all: PythonNode;

  /**
   * @param parameters the names of the parameters, in order
   * @param args a tuple or a list
   * @param kwargs a dict
   * @throws ArgumentError if they do not fit
   */
  constructor(parameters: readonly string[], args: PythonNode, kwargs: PythonNode) {
    this.#all = args;
    for (const [index, node] of itemsOf(args).entries()) {
      const name = parameters[index];
      if (name === undefined) {
        const most = parameters.length === 1 ? 'one argument' : `${parameters.length} arguments`;
        throw new ArgumentError(
          `it takes ${parameters.length === 0 ? 'no arguments' : `at most ${most}`}`,
          node,
          listed(parameters),
        );
      }
      this.#given.set(name, node);
    }
    if (kwargs.value.type !== 'dict') throw new ArgumentError('kwargs is not a dict', kwargs, 'write {"name": value}');
    for (const [key, node] of kwargs.value.entries) {
      const name = key.value.type === 'text' ? key.value.text : undefined;
      if (name === undefined || !parameters.includes(name)) {
        const closest = name === undefined ? undefined : nearest(name, parameters);
        const hint = closest === undefined ? listed(parameters) : `did you mean "${closest}"?`;
        throw new ArgumentError(`it has no argument ${name === undefined ? 'of that kind' : `"${name}"`}`, key, hint);
      }
      if (this.#given.has(name)) throw new ArgumentError(`"${name}" is in args already`, key);
      this.#given.set(name, node);
    }
  }

  /** An argument with its position, if it is given. */
  node(name: string): PythonNode | undefined {
    return this.#given.get(name);
  }

  /** A required text. */
  text(name: string): string {
    const node = this.#given.get(name);
    if (!node) throw new ArgumentError(`the argument "${name}" is missing`, this.#all);
    if (node.value.type !== 'text') throw new ArgumentError(`${name} is ${kindOf(node.value)}, not a text`, node);
    return node.value.text;
  }

  optionalText(name: string): string | undefined {
    return this.#isNone(name) ? undefined : this.text(name);
  }

  /** A whole number that is not negative. */
  whole(name: string, defaultValue: number): number {
    const node = this.#given.get(name);
    if (!node) return defaultValue;
    const { value } = node;
    if (value.type === 'number' && value.isWhole && value.number >= 0) return value.number;
    throw new ArgumentError(`${name} must be a whole number, 0 or more`, node);
  }

  /** Whether Python takes the argument for true, such as `1`. */
  flag(name: string): boolean {
    const value = this.#given.get(name)?.value;
    if (value === undefined) return false;
    if (value.type === 'constant') return value.constant === true;
    if (value.type === 'number') return value.number !== 0;
    return value.type === 'text' ? value.text !== '' : true;
  }

  #isNone(name: string): boolean {
    const value = this.#given.get(name)?.value;
    return value === undefined || (value.type === 'constant' && value.constant === null);
  }
}

function itemsOf(node: PythonNode): readonly PythonNode[] {
  if (node.value.type === 'tuple' || node.value.type === 'list') return node.value.items;
  // `("a.log")` is a text in parentheses: Python would take each letter for an argument.
  throw new ArgumentError(`args is ${kindOf(node.value)}, not a tuple`, node, 'write a comma before the ")": (value,)');
}

function listed(parameters: readonly string[]): string | undefined {
  return parameters.length === 0 ? undefined : `there are: ${parameters.join(', ')}`;
}

export function kindOf(value: PythonValue): string {
  switch (value.type) {
    case 'constant':
      return value.constant === null ? 'None' : value.constant ? 'True' : 'False';
    case 'name':
      return value.name.name;
    default:
      return `a ${value.type}`;
  }
}
