/**
 * Reads the command line of a verb: options, perhaps with several values each, and operands. Pure.
 */
import { nearest } from './nearest.ts';

export interface VerbOption {
  readonly flag: string;
  readonly short?: string;
  /** The placeholders of its values; empty for a switch. */
  readonly values: readonly string[];
  /** It may be given several times. */
  readonly isList?: boolean;
  /** One line for `--help`, without a full stop. */
  readonly help: string;
}

export interface ArgumentRules {
  readonly options: readonly VerbOption[];
  /** The first operand begins a command, whose own options are left alone. */
  readonly takesCommand?: boolean;
}

/** A valid command line. */
export class Arguments {
  /** What stands beside the options, in order. */
  readonly operands: readonly string[];
  readonly #uses: ReadonlyMap<string, readonly (readonly string[])[]>;

  constructor(
    uses: ReadonlyMap<string, readonly (readonly string[])[]>,
    operands: readonly string[],
  ) {
    this.#uses = uses;
    this.operands = operands;
  }

  /** Whether the option was given. */
  has(flag: string): boolean {
    return this.#uses.has(flag);
  }

  /** The value of an option that is no list; undefined if it was not given. */
  value(flag: string): string | undefined {
    return this.#uses.get(flag)?.[0]?.[0];
  }

  /** The values of each use of an option, in order. */
  uses(flag: string): readonly (readonly string[])[] {
    return this.#uses.get(flag) ?? [];
  }
}

/** @returns a sentence without its full stop if the command line is a mistake */
export function parseArguments(
  args: readonly string[],
  { options, takesCommand = false }: ArgumentRules,
): Arguments | string {
  const uses = new Map<string, (readonly string[])[]>();
  const operands: string[] = [];
  const left = [...args];
  for (let arg = left.shift(); arg !== undefined; arg = left.shift()) {
    if (arg === '--') {
      operands.push(...left);
      break;
    }
    if (!arg.startsWith('-') || arg === '-') {
      operands.push(arg);
      if (!takesCommand) continue;
      operands.push(...left);
      break;
    }
    const found = findOption(arg, options);
    if (typeof found === 'string') return found;
    const { option, name, attached } = found;
    const values = valuesOf(option, name, attached, left);
    if (typeof values === 'string') return values;
    const before = uses.get(option.flag);
    if (before === undefined) uses.set(option.flag, [values]);
    else if (option.isList) before.push(values);
    else return `${name} is given twice`;
  }
  return new Arguments(uses, operands);
}

interface Found {
  readonly option: VerbOption;
  /** The option as it was written. */
  readonly name: string;
  /** Its first value, if that is part of the same argument. */
  readonly attached: string | undefined;
}

/** `--wait`, `--wait=10s`, `-w` and `-worders/17`. */
function findOption(arg: string, options: readonly VerbOption[]): Found | string {
  const isLong = arg.startsWith('--');
  const end = isLong ? `${arg}=`.indexOf('=') : '-w'.length;
  const [name, rest] = [arg.slice(0, end), arg.slice(end)];
  const option = options.find(({ flag, short }) => name === (isLong ? `--${flag}` : `-${short}`));
  if (option !== undefined) {
    return { option, name, attached: rest === '' ? undefined : rest.replace(/^=/, '') };
  }
  return unknownOption(name, options);
}

/** @returns a sentence without its full stop */
export function unknownOption(name: string, options: readonly { readonly flag: string }[]): string {
  const near = nearest(
    name,
    options.map(({ flag }) => `--${flag}`),
    '--'.length,
  );
  return `unknown option ${name}${near === undefined ? '' : ` (did you mean ${near}?)`}`;
}

/** Takes from `left` what `attached` doesn't have. */
function valuesOf(
  { values: placeholders }: VerbOption,
  name: string,
  attached: string | undefined,
  left: string[],
): readonly string[] | string {
  const values = attached === undefined ? [] : [attached];
  if (values.length > placeholders.length) return `${name} takes no value`;
  while (values.length < placeholders.length) {
    const value = left[0];
    // Taken for a value, a forgotten one would hide the option that follows.
    if (value === undefined || value.startsWith('-')) {
      const hint = value?.startsWith('-')
        ? `; write a value that begins with a dash as ${name}=…`
        : '';
      return `${name} needs ${placeholders.join(' and ')}${value === '--' ? '' : hint}`;
    }
    values.push(value);
    left.shift();
  }
  return values;
}
