// The migrations, in order. One that was released is never edited: a change is a new one at the
// end.
#include "engine/journal/migrations.hpp"

namespace sluice::journal {

namespace {

constexpr const char* kFirst = R"sql(
create table cluster (
  one bool primary key default true check (one),
  id uuid not null,
  format int4 not null,
  core int4 not null,
  partitions int4 not null,
  delivery_epoch int8 not null default 1,
  system_id int8 not null default 0,
  timeline int4 not null default 0,
  lease_key bytea not null);
create table node (
  node text primary key, boot uuid not null, addr text not null default '',
  version text not null default '', core_lo int4 not null, core_hi int4 not null,
  seen timestamptz not null);
create table partition (
  part int2 primary key, epoch int8 not null default 0, owner text, boot uuid, pid int4
) with (fillfactor = 50);
create table tenant (id int4 generated always as identity primary key, name text not null unique);
create table journal (
  part int2 not null, seq int8 not null, day int4 not null, at timestamptz not null,
  kind int2 not null, verdict int2 not null, core int2 not null, epoch int8 not null,
  tenant int4 not null, run uuid, run_prev int8 not null, cause_part int2, cause_seq int8 not null,
  correlation uuid, chain bytea, digest bytea, body bytea not null,
  primary key (part, seq, day)) partition by range (day);
create table delivery (
  part int2 not null, client int8 not null, "offset" int8 not null, day int4 not null,
  seq int8 not null, body bytea not null,
  primary key (part, client, "offset", day)) partition by range (day);
-- What the append's parameters are arrays of; off is a delivery's offset.
create type part_row as (part int2, epoch int8, prev int8, prev_day int4, prev_chain bytea,
  last int8, chain bytea, digest bytea);
create type record_row as (part int2, seq int8, at timestamptz, kinds int4, tenant int4, run uuid,
  run_prev int8, cause_part int2, cause_seq int8, correlation uuid, body bytea);
create type delivery_row as (part int2, client int8, off int8, seq int8, body bytea);
create table checkpoint (
  part int2, gen int8, at timestamptz not null, core int2 not null, hash bytea not null,
  chain bytea not null, rest bytea not null, primary key (part, gen));
create table run_state (
  part int2, row uuid, gen int8, wake_at timestamptz, body bytea, primary key (part, row, gen));
create table run (
  run uuid primary key, part int2 not null, as_of int8 not null, last_seq int8 not null,
  tenant int4 not null, deployment int4 not null, flow text not null, client text not null,
  state int2 not null, step text not null, attempt int4 not null, wake_at timestamptz,
  started timestamptz not null, ended timestamptz, why text not null, correlation text not null,
  outcome_name text not null, outcome_json text not null) with (fillfactor = 85);
create table session_ack (
  tenant int4, client text, session text, acked int8 not null, seen timestamptz not null,
  primary key (tenant, client, session)) with (fillfactor = 70);
create table artifact (hash bytea primary key, bytes bytea not null);
create table deployment (
  number int4 primary key, hash bytea not null unique references artifact,
  created timestamptz not null default clock_timestamp());
alter table artifact alter bytes set storage external;
alter table run_state alter body set storage external;

create function kind_word(kind int2) returns text language sql immutable as $$
  select coalesce((array['event','start','signal','cancel','message','message_ack','granted','done',
    'failed','lapsed','verdict','advance','continue','presence','subscribe','unsubscribe','cron',
    'deployment','migrate','admin','erase','core','takeover'])[kind], 'unknown') $$;
create function verdict_word(verdict int2) returns text language sql immutable as $$
  select coalesce((array['ok','faulted','suspect','overridden'])[verdict + 1], 'unknown') $$;
create function state_word(state int2) returns text language sql immutable as $$
  select coalesce((array['running','waiting','retrying','compensating','completed','failed',
    'cancelled','superseded'])[state], 'unknown') $$;

create view v_journal as
  select j.part, j.seq, j.at, kind_word(j.kind) as kind, verdict_word(j.verdict) as verdict,
    t.name as tenant, j.run, nullif(j.run_prev, 0) as run_prev,
    case when j.cause_seq > 0 then j.cause_part end as cause_part,
    nullif(j.cause_seq, 0) as cause_seq, j.correlation, j.epoch, j.core,
    length(j.body) as bytes, encode(j.chain, 'hex') as chain
  from journal j left join tenant t on t.id = j.tenant;
create view v_run as
  select r.run, t.name as tenant, r.client, r.flow, state_word(r.state) as state, r.step, r.attempt,
    r.started, r.ended, r.wake_at, r.why, r.outcome_name as outcome, r.correlation, r.part,
    encode(d.hash, 'hex') as version, r.as_of
  from run r left join tenant t on t.id = r.tenant
    left join deployment d on d.number = r.deployment;
-- Alive, and either waiting for nothing or overdue: what an operator should look at.
create view v_stuck as
  select v.*, p.owner,
    case when p.owner is null then 'its partition has no owner'
      when v.wake_at is null and v.step = '' then 'nothing will wake it'
      else 'its timer is overdue' end as reason
  from v_run v join partition p on p.part = v.part
  where v.ended is null and (p.owner is null or (v.wake_at is null and v.step = '')
    or v.wake_at < clock_timestamp() - interval '1 minute');

-- For operators and dashboards: may look at the views and nothing else. Where roles may not be
-- made, the owner of the database does it.
do $$ begin
  if not exists (select from pg_roles where rolname = 'sluice_reader') then
    create role sluice_reader nologin;
  end if;
  alter role sluice_reader set statement_timeout = '30s';
  grant select on v_journal, v_run, v_stuck to sluice_reader;
exception when insufficient_privilege or duplicate_object or unique_violation then null;
end $$;
)sql";

// What a person decided of records that cannot be folded; rows are only ever inserted.
constexpr const char* kOverrides = R"sql(
create table override (
  part int2, seq int8, first int8 not null, tip int8 not null,
  mode text check (mode in ('skip', 'accept')), found text not null,
  why text not null check (why <> ''), operator text not null, departed bytea not null,
  at timestamptz not null default clock_timestamp(), primary key (part, seq, mode));
alter table override alter departed set storage external;
create view v_override as
  select part, seq, mode, operator, why, found, at, first, tip from override;
create or replace view v_journal as
  select j.part, j.seq, j.at, kind_word(j.kind) as kind,
    case when o.seq is null then verdict_word(j.verdict) else 'overridden' end as verdict,
    t.name as tenant, j.run, nullif(j.run_prev, 0) as run_prev,
    case when j.cause_seq > 0 then j.cause_part end as cause_part,
    nullif(j.cause_seq, 0) as cause_seq, j.correlation, j.epoch, j.core,
    length(j.body) as bytes, encode(j.chain, 'hex') as chain
  from journal j left join tenant t on t.id = j.tenant
    left join override o on o.part = j.part and o.seq = j.seq and o.mode = 'skip';
do $$ begin
  grant select on v_override to sluice_reader;
exception when insufficient_privilege or undefined_object then null;
end $$;
)sql";

constexpr const char* kParked = R"sql(
create or replace function verdict_word(verdict int2) returns text language sql immutable as $$
  select coalesce((array['ok','faulted','suspect','overridden','parked'])[verdict + 1], 'unknown')
  $$;
)sql";

// Runs that join another, and the records by which they do.
constexpr const char* kJoined = R"sql(
alter table run add column joined uuid;
create or replace function kind_word(kind int2) returns text language sql immutable as $$
  select coalesce((array['event','start','signal','cancel','message','message_ack','granted','done',
    'failed','lapsed','verdict','advance','continue','presence','subscribe','unsubscribe','cron',
    'deployment','migrate','admin','erase','core','takeover','join'])[kind], 'unknown') $$;
create or replace function state_word(state int2) returns text language sql immutable as $$
  select coalesce((array['running','waiting','retrying','compensating','completed','failed',
    'cancelled','superseded','joined'])[state], 'unknown') $$;
create or replace view v_run as
  select r.run, t.name as tenant, r.client, r.flow, state_word(r.state) as state, r.step, r.attempt,
    r.started, r.ended, r.wake_at, r.why, r.outcome_name as outcome, r.correlation, r.part,
    encode(d.hash, 'hex') as version, r.as_of, r.joined
  from run r left join tenant t on t.id = r.tenant
    left join deployment d on d.number = r.deployment;
)sql";

constexpr Migration kMigrations[] = {{1, kFirst}, {2, kOverrides}, {3, kParked}, {4, kJoined}};

}  // namespace

std::span<const Migration> migrations() {
  return kMigrations;
}

}  // namespace sluice::journal
