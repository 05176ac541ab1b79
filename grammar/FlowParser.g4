// The flow language. docs/language.md is its manual.
//
// Three properties keep it readable and its errors local: every statement begins with a reserved
// word, no statement begins with a sign or a literal, and `{` follows only a type's name or the head
// of a statement or declaration.
//
// The parser gets balanced brackets only (compiler/parser/brackets.cc mends them and says so), so
// recovery may skip by depth. The rules that end an error's reach are listed in
// compiler/parser/recovery.cc. What the grammar takes and the language does not (`a < b < c`, `=` in
// a condition) is reported when the tree is built, where more is known.
parser grammar FlowParser;

options {
  tokenVocab = FlowLexer;
}

file
  : moduleLine? importLine* declaration* EOF
  ;

moduleLine
  : K_MODULE qualifiedName
  ;

importLine
  : K_IMPORT qualifiedName
  ;

declaration
  : recordDeclaration
  | enumDeclaration
  | eventDeclaration
  | upgradeDeclaration
  | topicDeclaration
  | taskDeclaration
  | poolDeclaration
  | policyDeclaration
  | constDeclaration
  | fnDeclaration
  | flowDeclaration
  | migrateDeclaration
  | testDeclaration
  | invariantDeclaration
  ;

// ---- Data

recordDeclaration
  : K_RECORD TYPE fieldBlock
  ;

enumDeclaration
  : K_ENUM TYPE LBRACE (enumCase COMMA?)* RBRACE
  ;

enumCase
  : identifier parameters?
  ;

eventDeclaration
  : K_EVENT TYPE NAME? fieldBlock
  ;

upgradeDeclaration
  : K_UPGRADE TYPE NAME ARROW NAME LPAREN identifier RPAREN ASSIGN expression
  ;

fieldBlock
  : LBRACE (field COMMA?)* RBRACE
  ;

parameters
  : LPAREN (field COMMA?)* RPAREN
  ;

field
  : member COLON type NAME* (ASSIGN expression)? (K_WHERE expression)?
  ;

type
  : simpleType QUESTION?
  ;

simpleType
  : identifier (DOT TYPE)?
  | TYPE
  | LBRACKET type RBRACKET
  | LBRACE type COLON type RBRACE
  ;

// ---- Topics, pools, tasks, policies

topicDeclaration
  : K_TOPIC identifier K_OF typeName LBRACE topicSetting* RBRACE
  ;

topicSetting
  : K_ORDER K_BY expression # orderSetting
  | K_DEDUPE expression     # dedupeSetting
  | K_RETAIN expression     # retainSetting
  | limit                   # topicLimit
  | K_TTL expression        # topicTtl
  ;

limit
  : K_LIMIT INT SLASH NAME K_PER scope (K_BURST value)?
  ;

scope
  : K_CLIENT
  | K_TENANT
  | K_KEY expression
  ;

poolDeclaration
  : K_POOL identifier LBRACE (K_SLOTS value)? RBRACE
  ;

taskDeclaration
  : K_TASK identifier parameters (ARROW type)? policyBlock
  ;

policyDeclaration
  : K_POLICY identifier policyBlock
  ;

policyBlock
  : LBRACE policy* RBRACE
  ;

policy
  : K_TIMEOUT expression                                                   # timeoutPolicy
  | K_QUEUE expression                                                     # queuePolicy
  | K_WITHIN expression                                                    # withinPolicy
  | K_HEARTBEAT expression                                                 # heartbeatPolicy
  | K_ATTEMPTS value backoff? (K_ON kinds)?                                # attemptsPolicy
  | K_POOL qualifiedName                                                   # poolPolicy
  | K_PRIORITY identifier                                                  # priorityPolicy
  | K_BREAKER value PERCENT K_OF value K_WITHIN value K_COOLDOWN value     # breakerPolicy
  | K_HEDGE K_AFTER value call??                                           # hedgePolicy
  | K_FALLBACK expression                                                  # fallbackPolicy
  | K_IDEMPOTENT                                                           # idempotentPolicy
  | K_READONLY                                                             # readonlyPolicy
  | K_KEYED expression??                                                   # keyedPolicy
  | K_STREAM                                                               # streamPolicy
  | K_COMPENSATE block                                                     # compensatePolicy
  | K_UNSURE block                                                         # unsurePolicy
  | K_KEEP                                                                 # keepPolicy
  | K_USES qualifiedName                                                   # usesPolicy
  | K_FAILS kinds                                                          # failsPolicy
  ;

backoff
  : K_BACKOFF value DOT_DOT value (K_FACTOR value)? K_JITTER?
  ;

kinds
  : LBRACKET (TYPE (COMMA TYPE)* COMMA?)? RBRACKET
  ;

// A literal or a constant, where an expression would swallow what follows.
value
  : INT
  | DECIMAL
  | DURATION
  | qualifiedName
  ;

// ---- Pure things

constDeclaration
  : K_CONST identifier (COLON type)? ASSIGN expression
  ;

fnDeclaration
  : K_FN identifier parameters ARROW type ASSIGN expression
  ;

// ---- Flows

flowDeclaration
  : K_FLOW identifier parameters outcomes? flowSetting* block onFailure?
  ;

outcomes
  : ARROW typeName (K_OR typeName)*
  ;

flowSetting
  : K_ON (K_SCHEDULE string (K_IN string)? | qualifiedName)                # trigger
  | K_TIMEOUT expression                                                   # flowTimeout
  | K_CONCURRENCY value K_PER scope concurrencyMode?                       # concurrency
  | limit                                                                  # flowLimit
  | K_TTL expression                                                       # flowTtl
  | K_BUDGET value (K_CALLS K_OF qualifiedName)?                           # budget
  ;

concurrencyMode
  : K_NEWEST K_WINS
  | K_QUEUE value
  | K_REJECT
  | K_JOINS
  ;

onFailure
  : K_ON K_FAILURE LPAREN identifier RPAREN block
  ;

migrateDeclaration
  : K_MIGRATE identifier K_AT qualifiedName (K_TO qualifiedName)? (LPAREN identifier RPAREN)?
    fieldInits
  ;

// ---- Statements

block
  : LBRACE statement* RBRACE
  ;

statement
  : letStatement
  | varStatement
  | setStatement
  | stepStatement
  | parallelStatement
  | raceStatement
  | eachStatement
  | yieldStatement
  | ifStatement
  | matchStatement
  | whileStatement
  | breakStatement
  | continueStatement
  | receiveStatement
  | sleepStatement
  | deadlineStatement
  | notifyStatement
  | publishStatement
  | startStatement
  | tryStatement
  | failStatement
  | returnStatement
  | logStatement
  ;

letStatement
  : K_LET identifier ASSIGN (raceStatement | eachStatement | startStatement | expression)
  ;

varStatement
  : K_VAR identifier ASSIGN expression
  ;

setStatement
  : K_SET identifier ASSIGN expression
  ;

stepStatement
  : K_STEP (identifier ASSIGN)? call policyBlock?
  ;

call
  : qualifiedName LPAREN arguments RPAREN
  ;

parallelStatement
  : K_PARALLEL LBRACE branch* RBRACE
  ;

raceStatement
  : K_RACE LBRACE branch* RBRACE
  ;

branch
  : K_BRANCH identifier block
  | stepStatement
  ;

eachStatement
  : K_EACH identifier K_IN expression (K_PARALLEL expression)? block
  ;

yieldStatement
  : K_YIELD expression
  ;

ifStatement
  : K_IF condition block (K_ELSE K_IF condition block)* (K_ELSE block)?
  ;

// The second half is a mistake that has its own message.
condition
  : (K_LET identifier ASSIGN)? expression (ASSIGN expression)?
  ;

matchStatement
  : K_MATCH expression LBRACE matchCase* (K_ELSE block)? RBRACE
  ;

matchCase
  : K_CASE pattern block
  ;

whileStatement
  : K_WHILE condition block
  ;

breakStatement
  : K_BREAK
  ;

continueStatement
  : K_CONTINUE
  ;

receiveStatement
  : K_RECEIVE identifier COLON typeName K_FROM qualifiedName (K_WHERE expression)?
    (K_WITHIN expression)? block? (K_ELSE block)?
  ;

sleepStatement
  : K_SLEEP (K_UNTIL expression | expression)
  ;

deadlineStatement
  : K_DEADLINE expression block (K_ELSE block)?
  ;

notifyStatement
  : K_NOTIFY expression (K_TO (K_CLIENT | K_GROUP | K_RUN) expression)?
  ;

publishStatement
  : K_PUBLISH expression K_TO qualifiedName
  ;

startStatement
  : K_START call (K_FOR K_CLIENT expression)?
  ;

tryStatement
  : K_TRY block catchArm*
  ;

catchArm
  : K_CATCH TYPE? (LPAREN identifier RPAREN)? block
  ;

failStatement
  : K_FAIL TYPE expression?
  ;

returnStatement
  : K_RETURN expression?
  ;

logStatement
  : K_LOG expression
  ;

// ---- Patterns

pattern
  : MINUS? (INT | DECIMAL | DURATION)
  | string
  | K_TRUE
  | K_FALSE
  | (identifier DOT)? TYPE (DOT member)? bindings?
  | identifier bindings?
  ;

bindings
  : LPAREN (identifier (COMMA identifier)* COMMA?)? RPAREN
  ;

// ---- Expressions

expression
  : primary                                                                # primaryExpression
  | expression (DOT | QUESTION_DOT) member                                 # fieldExpression
  | expression LPAREN arguments RPAREN                                     # callExpression
  | expression LBRACKET expression RBRACKET                                # indexExpression
  | expression K_WITH fieldInits                                           # withExpression
  | expression K_AS type                                                   # asExpression
  | MINUS expression                                                       # negateExpression
  | expression (STAR | SLASH | PERCENT) expression                         # binaryExpression
  | expression (PLUS | MINUS) expression                                   # binaryExpression
  | expression QUESTION_QUESTION expression                                # binaryExpression
  | expression DOT_DOT expression                                          # rangeExpression
  | expression (EQUAL | NOT_EQUAL | LESS | LESS_EQUAL | GREATER | GREATER_EQUAL | K_IN) expression
                                                                           # binaryExpression
  | K_NOT expression                                                       # notExpression
  | expression K_AND expression                                            # binaryExpression
  | expression K_OR expression                                             # binaryExpression
  | K_IF expression K_THEN expression K_ELSE expression                    # ifExpression
  ;

primary
  : INT                                                                    # intLiteral
  | DECIMAL                                                                # decimalLiteral
  | DURATION                                                               # durationLiteral
  | (K_TRUE | K_FALSE)                                                     # boolLiteral
  | string                                                                 # stringLiteral
  | TYPE typeUse                                                           # typeExpression
  | identifier (DOT TYPE typeUse)?                                         # nameExpression
  | LPAREN expression RPAREN                                               # parenExpression
  | LBRACKET (COLON | expression collection)? RBRACKET                     # bracketExpression
  | K_MATCH expression LBRACE matchArm* (K_ELSE FAT_ARROW expression)? RBRACE
                                                                           # matchExpression
  ;

// What makes a record or an enum's case of a type's name.
typeUse
  : fieldInits
  | DOT member
  ;

// What follows the first expression in brackets: `[x for x in xs]`, `["a": 1]`, `[a, b]`.
collection
  : K_FOR identifier K_IN expression (K_IF expression)?                    # comprehension
  | COLON expression (COMMA mapEntry)* COMMA?                              # mapEntries
  | (COMMA expression)* COMMA?                                             # listElements
  ;

mapEntry
  : expression COLON expression
  ;

matchArm
  : K_CASE pattern FAT_ARROW expression
  ;

arguments
  : (argument (COMMA argument)* COMMA?)?
  ;

// A type alone: what `count(Answer)` counts.
argument
  : (member COLON)? expression
  | typeName
  ;

fieldInits
  : LBRACE (fieldInit (COMMA fieldInit)* COMMA?)? RBRACE
  ;

fieldInit
  : member COLON expression
  ;

string
  : STRING_OPEN stringPart* STRING_CLOSE
  | BLOCK_OPEN stringPart* BLOCK_CLOSE
  | BAD_QUOTE
  ;

stringPart
  : TEXT
  | INTERPOLATION expression RBRACE
  ;

// ---- Tests

testDeclaration
  : K_TEST string LBRACE testItem* RBRACE
  ;

invariantDeclaration
  : K_INVARIANT string LBRACE testItem* RBRACE
  ;

testItem
  : K_GIVEN qualifiedName givenAnswer (K_THEN givenAnswer)*                # given
  | (K_AFTER value)? K_WHEN happening (K_FROM string)?                     # when
  | K_EXPECT eventExpectation                                              # expectEvent
  | K_EXPECT K_REFUSED (identifier | TYPE)                                 # expectRefused
  | K_EXPECT (K_STEP qualifiedName stepCount | K_NEVER qualifiedName)      # expectStep
  | K_EXPECT expression                                                    # expectValue
  | K_ALWAYS expression                                                    # always
  ;

// What comes in from outside.
happening
  : K_CANCEL
  | K_START call
  | typeName NAME? fieldInits (K_TO qualifiedName)?
  ;

givenAnswer
  : givenTimes? K_TAKES value (K_RETURNS expression | K_FAILS TYPE string? K_ALWAYS?)?
  | givenTimes? K_RETURNS expression
  | givenTimes? K_FAILS TYPE string? K_ALWAYS?
  | givenTimes
  ;

// How long no worker is free for it, and when the first piece of its stream comes.
givenTimes
  : K_QUEUE value (K_STREAM value)?
  | K_STREAM value
  ;

eventExpectation
  : (K_RETURN | K_NOTIFY | K_PUBLISH) typeName fieldInits? (K_WITHIN value)? eventCount?
  ;

eventCount
  : K_ONCE
  | INT K_TIMES
  | K_NEVER
  ;

stepCount
  : K_ONCE
  | INT K_TIMES
  | K_NEVER
  | K_BEFORE qualifiedName
  | K_WITHIN value
  ;

// ---- Names

// `text.Chunk` or `Chunk`.
typeName
  : (identifier DOT)? TYPE
  ;

qualifiedName
  : identifier (DOT member)*
  ;

// After `.` and before `:` every word is a name.
member
  : identifier
  | K_MODULE
  | K_IMPORT
  | K_RECORD
  | K_ENUM
  | K_CONST
  | K_FN
  | K_FLOW
  | K_LET
  | K_VAR
  | K_SET
  | K_STEP
  | K_PARALLEL
  | K_RACE
  | K_BRANCH
  | K_EACH
  | K_YIELD
  | K_IF
  | K_MATCH
  | K_WHILE
  | K_BREAK
  | K_CONTINUE
  | K_RECEIVE
  | K_SLEEP
  | K_DEADLINE
  | K_NOTIFY
  | K_PUBLISH
  | K_START
  | K_TRY
  | K_CATCH
  | K_FAIL
  | K_RETURN
  | K_LOG
  | K_IN
  | K_AS
  | K_WITH
  | K_AND
  | K_OR
  | K_NOT
  | K_FOR
  | K_THEN
  | K_ELSE
  | K_CASE
  | K_TRUE
  | K_FALSE
  ;

identifier
  : NAME
  | K_EVENT
  | K_TOPIC
  | K_TASK
  | K_POOL
  | K_POLICY
  | K_TEST
  | K_INVARIANT
  | K_MIGRATE
  | K_UPGRADE
  | K_OF
  | K_ON
  | K_TO
  | K_BY
  | K_AT
  | K_FROM
  | K_WHERE
  | K_WITHIN
  | K_UNTIL
  | K_AFTER
  | K_PER
  | K_CLIENT
  | K_TENANT
  | K_KEY
  | K_GROUP
  | K_RUN
  | K_ORDER
  | K_DEDUPE
  | K_RETAIN
  | K_LIMIT
  | K_BURST
  | K_TTL
  | K_SLOTS
  | K_SCHEDULE
  | K_CONCURRENCY
  | K_NEWEST
  | K_WINS
  | K_REJECT
  | K_JOINS
  | K_BUDGET
  | K_CALLS
  | K_FAILURE
  | K_TIMEOUT
  | K_QUEUE
  | K_HEARTBEAT
  | K_ATTEMPTS
  | K_BACKOFF
  | K_FACTOR
  | K_JITTER
  | K_PRIORITY
  | K_BREAKER
  | K_COOLDOWN
  | K_HEDGE
  | K_FALLBACK
  | K_IDEMPOTENT
  | K_READONLY
  | K_KEYED
  | K_STREAM
  | K_COMPENSATE
  | K_UNSURE
  | K_KEEP
  | K_USES
  | K_FAILS
  | K_GIVEN
  | K_RETURNS
  | K_TAKES
  | K_ALWAYS
  | K_WHEN
  | K_CANCEL
  | K_EXPECT
  | K_NEVER
  | K_ONCE
  | K_TIMES
  | K_BEFORE
  | K_REFUSED
  ;
