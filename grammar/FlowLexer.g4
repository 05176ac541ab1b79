// The words and signs of the flow language.
//
// The input is bytes of valid UTF-8, one per symbol, so that a token's place is its byte offset.
// Beyond ASCII there is nothing but text of strings and comments.
//
// No token here is an error to ANTLR: what does not belong to the language is a token of its own
// (the last section), which the compiler names, with a mend, before it parses.
lexer grammar FlowLexer;

options {
  superClass = FlowLexerBase;
}

@lexer::postinclude {
#include "grammar/lexer_base.hpp"
}

tokens {
  TEXT,
  INTERPOLATION,
  STRING_BROKEN
}

// ---- Reserved: words that begin a declaration or a statement, and those of expressions.

K_MODULE: 'module';
K_IMPORT: 'import';
K_RECORD: 'record';
K_ENUM: 'enum';
K_CONST: 'const';
K_FN: 'fn';
K_FLOW: 'flow';

K_LET: 'let';
K_VAR: 'var';
K_SET: 'set';
K_STEP: 'step';
K_PARALLEL: 'parallel';
K_RACE: 'race';
K_BRANCH: 'branch';
K_EACH: 'each';
K_YIELD: 'yield';
K_IF: 'if';
K_MATCH: 'match';
K_WHILE: 'while';
K_BREAK: 'break';
K_CONTINUE: 'continue';
K_RECEIVE: 'receive';
K_SLEEP: 'sleep';
K_DEADLINE: 'deadline';
K_NOTIFY: 'notify';
K_PUBLISH: 'publish';
K_START: 'start';
K_TRY: 'try';
K_CATCH: 'catch';
K_FAIL: 'fail';
K_RETURN: 'return';
K_LOG: 'log';

K_IN: 'in';
K_AS: 'as';
K_WITH: 'with';
K_AND: 'and';
K_OR: 'or';
K_NOT: 'not';
K_FOR: 'for';
K_THEN: 'then';
K_ELSE: 'else';
K_CASE: 'case';
K_TRUE: 'true';
K_FALSE: 'false';

// ---- Words that mean something in their place and are names everywhere else.

K_EVENT: 'event';
K_TOPIC: 'topic';
K_TASK: 'task';
K_POOL: 'pool';
K_POLICY: 'policy';
K_TEST: 'test';
K_INVARIANT: 'invariant';
K_MIGRATE: 'migrate';
K_UPGRADE: 'upgrade';

K_OF: 'of';
K_ON: 'on';
K_TO: 'to';
K_BY: 'by';
K_AT: 'at';
K_FROM: 'from';
K_WHERE: 'where';
K_WITHIN: 'within';
K_UNTIL: 'until';
K_AFTER: 'after';
K_PER: 'per';
K_CLIENT: 'client';
K_TENANT: 'tenant';
K_KEY: 'key';
K_GROUP: 'group';
K_RUN: 'run';

K_ORDER: 'order';
K_DEDUPE: 'dedupe';
K_RETAIN: 'retain';
K_LIMIT: 'limit';
K_BURST: 'burst';
K_TTL: 'ttl';
K_SLOTS: 'slots';
K_SCHEDULE: 'schedule';
K_CONCURRENCY: 'concurrency';
K_NEWEST: 'newest';
K_WINS: 'wins';
K_REJECT: 'reject';
K_JOINS: 'joins';
K_BUDGET: 'budget';
K_CALLS: 'calls';
K_FAILURE: 'failure';

K_TIMEOUT: 'timeout';
K_QUEUE: 'queue';
K_HEARTBEAT: 'heartbeat';
K_ATTEMPTS: 'attempts';
K_BACKOFF: 'backoff';
K_FACTOR: 'factor';
K_JITTER: 'jitter';
K_PRIORITY: 'priority';
K_BREAKER: 'breaker';
K_COOLDOWN: 'cooldown';
K_HEDGE: 'hedge';
K_FALLBACK: 'fallback';
K_IDEMPOTENT: 'idempotent';
K_READONLY: 'readonly';
K_KEYED: 'keyed';
K_STREAM: 'stream';
K_COMPENSATE: 'compensate';
K_UNSURE: 'unsure';
K_KEEP: 'keep';
K_USES: 'uses';
K_FAILS: 'fails';

K_GIVEN: 'given';
K_RETURNS: 'returns';
K_TAKES: 'takes';
K_ALWAYS: 'always';
K_WHEN: 'when';
K_CANCEL: 'cancel';
K_EXPECT: 'expect';
K_NEVER: 'never';
K_ONCE: 'once';
K_TIMES: 'times';
K_BEFORE: 'before';
K_REFUSED: 'refused';

// ---- Literals and names.

DURATION: DIGIT [0-9_]* ('.' DIGIT+)? ('ms' | 's' | 'm' | 'h' | 'd');
DECIMAL: DIGIT [0-9_]* '.' DIGIT [0-9_]*;
INT: DIGIT [0-9_]*;
TYPE: [A-Z] WORD*;
NAME: [a-z_] WORD*;

fragment DIGIT: [0-9];
fragment WORD: [a-zA-Z0-9_];

// ---- Signs.

LBRACE: '{' -> pushMode(DEFAULT_MODE);
RBRACE: '}' -> popMode;
LPAREN: '(';
RPAREN: ')';
LBRACKET: '[';
RBRACKET: ']';
ARROW: '->';
FAT_ARROW: '=>';
DOT_DOT: '..';
QUESTION_DOT: '?.';
QUESTION_QUESTION: '??';
QUESTION: '?';
DOT: '.';
COMMA: ',';
COLON: ':';
EQUAL: '==';
NOT_EQUAL: '!=';
LESS_EQUAL: '<=';
GREATER_EQUAL: '>=';
LESS: '<';
GREATER: '>';
ASSIGN: '=';
PLUS: '+';
MINUS: '-';
STAR: '*';
SLASH: '/';
PERCENT: '%';

STRING_OPEN: '"' -> pushMode(STRING);
BLOCK_OPEN: '"""' -> pushMode(BLOCK);

// ---- What the parser never sees. `////` is a line, not documentation.

DOC_COMMENT: '///' (~[/\r\n] ~[\r\n]*)? -> channel(HIDDEN);
COMMENT: ('//' (~[/\r\n] ~[\r\n]*)? | '////' ~[\r\n]*) -> channel(HIDDEN);
SPACE: [ \t\r\n]+ -> skip;

// ---- What other languages have and this one does not.

BAD_SEMICOLON: ';';
BAD_AND: '&&' | '&';
BAD_OR: '||' | '|';
BAD_NOT: '!';
BAD_EQUAL: '===';
BAD_NOT_EQUAL: '!==' | '<>';
BAD_ASSIGN: ('+' | '-' | '*' | '/' | '%') '=' | ':=' | '++' | '--';
BAD_DOTS: '...' | '..=' | '..<';
BAD_BLOCK_COMMENT: '/*' .*? ('*/' | EOF);
BAD_HASH: '#' ~[\r\n]*;
BAD_QUOTE: '\'' ( ~['\\\r\n] | '\\' ~[\r\n])* '\''? | '`' ~[`\r\n]* '`'?;
// `5min`, `12abc`: one word, so that it is not read as `5m` and `in`.
BAD_NUMBER: DIGIT [0-9_]* ('.' DIGIT+)? [a-zA-Z_] WORD*;
BAD_LETTERS: [\u0080-\u00FF]+;
BAD_SIGN: .;

mode STRING;

STRING_CLOSE: '"' -> popMode;
STRING_INTERPOLATION: '${' -> type(INTERPOLATION), pushMode(DEFAULT_MODE);
STRING_TEXT: ( ~["\\$\r\n] | '\\' ~[\r\n])+ -> type(TEXT);
STRING_SIGN: [$\\] -> type(TEXT);
// Becomes STRING_BROKEN: see FlowLexerBase::skip().
STRING_NEWLINE: [\r\n] -> skip;

mode BLOCK;

BLOCK_CLOSE: '"""' -> popMode;
BLOCK_INTERPOLATION: '${' -> type(INTERPOLATION), pushMode(DEFAULT_MODE);
BLOCK_TEXT: ( ~["\\$] | '\\' .)+ -> type(TEXT);
BLOCK_SIGN: [$"\\] -> type(TEXT);
