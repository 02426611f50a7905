/** `paster completion`: prints a script that completes commands and options in a shell. */
import { didYouMean } from '../config/nearest.ts';
import { KINDS } from '../deploy/part-kinds.ts';
import { EXIT_OK, UsageError } from '../errors.ts';
import { type Command, type Commands, type CompletedNames, type Console, optionNames } from './command-line/command.ts';

/** The completions of one command. */
interface Completion {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly {
    readonly flags: readonly string[];
    readonly help: string;
    readonly takesValue: boolean;
    readonly names: Names | undefined;
  }[];
  /** The words that an argument allows, as in `[start|stop|restart|status]`, or in a help such as `bash, zsh or fish`. */
  readonly words: readonly string[];
  /** Names of sections, after an argument that matches one of these patterns. */
  readonly named: { readonly after: readonly string[]; readonly names: Names } | undefined;
}

/** Names of sections. */
interface Names {
  /** The words before the colon in their headings, and `web`, with commas between them. */
  readonly prefixes: string;
  /** Whether several names have commas between them. */
  readonly isList: boolean;
}

type Script = (completions: readonly Completion[]) => string;

/** @param commands the commands to complete */
export const completionCommand = (commands: Commands): Command => ({
  name: 'completion',
  summary: 'print a script that completes command lines in your shell',
  args: [['<shell>', 'bash, zsh or fish']],
  options: [],
  examples: [
    ['source <(paster completion bash)', 'in ~/.bashrc'],
    ['paster completion zsh > ~/.zfunc/_paster', 'with ~/.zfunc in fpath'],
    ['paster completion fish > ~/.config/fish/completions/paster.fish', 'for fish'],
  ],
  run: (args, _options, console) => completion(args[0] ?? '', commands, console),
});

const SCRIPTS: ReadonlyMap<string, Script> = new Map([
  ['bash', bashScript],
  ['zsh', zshScript],
  ['fish', fishScript],
]);

async function completion(shell: string, commands: Commands, console: Console): Promise<number> {
  const script = SCRIPTS.get(shell);
  if (script === undefined) {
    const shells = [...SCRIPTS.keys()];
    throw new UsageError('PASTER_USAGE', `completion: unknown shell "${shell}"`, {
      hint: didYouMean(shell, shells),
    });
  }
  const completions: Completion[] = [];
  for (const [name, entry] of commands) completions.push(completionOf(name, await entry.load()));
  console.out(script(completions));
  return EXIT_OK;
}

function completionOf(name: string, { summary, options, args, completes }: Command): Completion {
  return {
    name,
    summary,
    options: options.map(({ flags, help, completes: kinds }) => {
      const { short, long, value } = optionNames(flags);
      return {
        flags: [...(short ? [`-${short}`] : []), `--${long}`],
        help,
        takesValue: value === 'required',
        names: kinds && { prefixes: prefixesOf(kinds), isList: flags.includes('<names>') },
      };
    }),
    named: completes && { after: completes.after, names: { prefixes: prefixesOf(completes.names), isList: false } },
    words: args.flatMap(([arg, help]) => {
      const [, inName] = /^\[([a-z]+(?:\|[a-z]+)+)\]$/.exec(arg) ?? [];
      return inName?.split('|') ?? (/^[a-z]+(?:, [a-z]+)+(?: or [a-z]+)?$/.test(help) ? help.split(/, | or /) : []);
    }),
  };
}

function prefixesOf(kinds: CompletedNames): string {
  return kinds.flatMap((kind) => (kind === 'web' ? kind : KINDS[kind].prefixes.flat())).join(',');
}

/** In the headings of an INI file. A name with other characters could be a command for a shell. */
const NAME = '[[:alnum:]_.@+-]+';
/** Options of sed, with the prefixes in `$kinds`, joined by `|`. A section without a name is `main`. */
const READ_NAMES = `-nE -e "s/^\\[($kinds)\\].*/main/p" -e "s/^\\[($kinds):[[:space:]]*(${NAME})[[:space:]]*\\].*/\\2/p"`;

/** For bash and zsh: prints the names of an INI file among the words, without running paster. */
const NAMES_FUNCTION = `_paster_names() {
  local kinds=\${1//,/|} file=etc/develop.ini word
  case ,$1, in *,web,*) echo web ;; esac
  shift
  for word; do
    word=\${word//[\\\\\\"\\']/}
    word=\${word#config:}
    word=\${word/#\\~\\//$HOME/}
    case $word in *.ini) file=$word; break ;; esac
  done
  [ -f "$file" ] && sed ${READ_NAMES} "$file"
}`;

function bashScript(completions: readonly Completion[]): string {
  const cases = completions.map(({ name, options, words }) => {
    const flags = [...options.flatMap((option) => option.flags), '--help'];
    const valued = options.flatMap((option) => (option.takesValue ? option.flags : []));
    return `    ${name}) options=${shellQuote(flags.join(' '))} valued=${shellQuote(valued.join(' '))} words=${shellQuote(words.join(' '))} ;;`;
  });
  const named = completions.flatMap(({ name, options, named: argument }) => {
    const places = [
      ...options.map(({ flags, names }) => ({ after: flags, names })),
      { after: argument?.after ?? [], names: argument?.names },
    ];
    return places.flatMap(({ after, names }) =>
      names === undefined
        ? []
        : `    ${after.map((each) => `${name}:${each}`).join('|')}) names=${names.prefixes} list=${names.isList ? 1 : ''} ;;`,
    );
  });
  const commands = [...completions.map(({ name }) => name), 'help'].join(' ');
  return `# bash completion of paster: source <(paster completion bash)
${NAMES_FUNCTION}
_paster() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]}
  local options= valued= words= names= list= before= name left=
  if [ "$COMP_CWORD" -eq 1 ] || { [ "$command" = help ] && [ "$COMP_CWORD" -eq 2 ]; }; then
    COMPREPLY=($(compgen -W ${shellQuote(`${commands} --help --version`)} -- "$current"))
    return
  fi
  # --only=web: three words.
  if [ "$current" = = ]; then current=; fi
  if [ "$previous" = = ]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
  case $command in
${cases.join('\n')}
  esac
  case $command:$previous in
${named.join('\n')}
  esac
  case " $valued " in
    *" $previous "*) words= ;;
  esac
  case $names:$current in
    :-*|*:-*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
    :*) COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current")) ;;
    *)
      compopt +o filenames 2> /dev/null
      if [ -n "$list" ]; then
        case $current in *,*) before=\${current%,*}, ;; esac
      fi
      for name in $(_paster_names "$names" "\${COMP_WORDS[@]:2}"); do
        case ,$before in *,"$name",*) ;; *) left+=" $name" ;; esac
      done
      COMPREPLY=($(compgen -P "$before" -W "$left" -- "\${current#"$before"}"))
      ;;
  esac
}
complete -o filenames -F _paster paster`;
}

function zshScript(completions: readonly Completion[]): string {
  const commands = completions.map(({ name, summary }) => `    ${shellQuote(`${name}:${escapeZsh(summary)}`)}`);
  const namesAction = ({ prefixes, isList }: Names) => `_paster_complete ${prefixes}${isList ? ' list' : ''}`;
  const cases = completions.map(({ name, options, words, named }) => {
    const specs = options.map(({ flags, help, takesValue, names }) => {
      const value = takesValue ? `:value:${names ? ` ${namesAction(names)}` : '_files'}` : '';
      const text = `[${escapeZsh(help)}]${value}`;
      const forms = flags.map((flag) => (takesValue && flag.startsWith('--') ? `${flag}=` : flag));
      return forms.length === 1
        ? shellQuote(`*${forms[0]}${text}`)
        : `'(${flags.join(' ')})'{${forms.join(',')}}${shellQuote(text)}`;
    });
    const plain = `${words.length > 0 ? `compadd ${words.join(' ')}; ` : ''}_files`;
    const rest = named
      ? `if [[ $words[CURRENT-1] == (${named.after.join('|')}) ]]; then ${namesAction(named.names)}; else ${plain}; fi`
      : plain;
    return `    ${name}) _arguments ${[...specs, shellQuote(`*:argument:{${rest}}`)].join(' ')} ;;`;
  });
  return `#compdef paster
# zsh completion of paster: paster completion zsh > ~/.zfunc/_paster
${NAMES_FUNCTION}
_paster_complete() {
  local -a names=(\${(f)"$(_paster_names $1 $words)"})
  if [[ $2 == list ]] && compset -P '*,'; then
    local -a given=(\${(s:,:)\${IPREFIX#*=}})
    names=(\${names:|given})
  fi
  compadd -- $names
}
_paster() {
  local -a commands=(
${commands.join('\n')}
    'help:show what a command does'
  )
  if (( CURRENT == 2 )) || { [[ $words[2] == help ]] && (( CURRENT == 3 )) }; then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _paster ]]; then _paster "$@"; else compdef _paster paster; fi`;
}

/** Prints the names of an INI file on the command line, each after the earlier ones of a list. */
const FISH_FUNCTIONS = `function __paster_names
  set -l file etc/develop.ini
  for word in (commandline -opc)
    set word (string replace -r '^config:' '' -- $word | string replace -r '^~/' "$HOME/")
    if string match -q -- '*.ini' $word
      set file $word
      break
    end
  end
  set -l before
  contains list $argv[2]; and set before (string match -r '[^=]*,' -- (commandline -ct))
  set -l names
  contains web (string split , -- $argv[1]); and set names web
  set -l kinds (string replace -a , '|' -- $argv[1])
  test -f "$file"; and set -a names (sed ${READ_NAMES} "$file")
  for name in $names
    contains -- $name (string split , -- $before); or echo "$before$name"
  end
end
function __paster_after
  set -l words (commandline -opc)
  for pattern in $argv
    string match -q -- $pattern $words[-1]; and return
  end
  return 1
end`;

function fishScript(completions: readonly Completion[]): string {
  const lines = completions.flatMap(({ name, summary, options, words, named }) => {
    const seen = `__fish_seen_subcommand_from ${name}`;
    const after = named && `__paster_after ${named.after.map((each) => `"${each}"`).join(' ')}`;
    const argument = (names: Names) => shellQuote(`(__paster_names ${names.prefixes}${names.isList ? ' list' : ''})`);
    return [
      `complete -c paster -n __fish_use_subcommand -f -a ${name} -d ${shellQuote(summary)}`,
      ...options.map(({ flags, help, takesValue, names }) => {
        const forms = flags.map((each) => (each.startsWith('--') ? `-l ${each.slice(2)}` : `-s ${each.slice(1)}`));
        const value = names ? ` -x -a ${argument(names)}` : takesValue ? ' -r' : '';
        return `complete -c paster -n ${shellQuote(seen)} ${forms.join(' ')}${value} -d ${shellQuote(help)}`;
      }),
      ...(words.length > 0
        ? [
            `complete -c paster -n ${shellQuote(after ? `${seen}; and not ${after}` : seen)} -a ${shellQuote(words.join(' '))}`,
          ]
        : []),
      ...(named ? [`complete -c paster -n ${shellQuote(`${seen}; and ${after}`)} -f -a ${argument(named.names)}`] : []),
    ];
  });
  const names = completions.map(({ name }) => name).join(' ');
  return [
    '# fish completion of paster: paster completion fish > ~/.config/fish/completions/paster.fish',
    FISH_FUNCTIONS,
    ...lines,
    `complete -c paster -n __fish_use_subcommand -f -a help -d 'show what a command does'`,
    `complete -c paster -n '__fish_seen_subcommand_from help' -f -a ${shellQuote(names)}`,
  ].join('\n');
}

/** Quotes a word for each of the three shells. */
function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** zsh ends a description at a colon or a bracket. */
function escapeZsh(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, '\\$&');
}
