"""Templates of charging profiles. Functions over a running transaction."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Text, bindparam, delete, insert, select, update

from ocppd.storage.records import Change
from ocppd.storage.records.charging import Template, TemplateChanged
from ocppd.storage.schema import IS_AT_START, charging_templates
from ocppd.storage.unit import Parameters, Statement, Unit, values_of
from ocppd.v16.codec import decode, encode
from ocppd.v16.types import ChargingProfile

_RECORD: Final = ("template_id", "name", "profile", "at_start", "chargers", "fallback", "version")
_MEMBERS: Final = _RECORD[1:]
_COLUMNS: Final = tuple(charging_templates.c[name] for name in _RECORD)
_THIS: Final = charging_templates.c.template_id == bindparam("the_id", type_=BigInteger())
_CREATED = Statement(values_of(insert(charging_templates), *_MEMBERS).returning(charging_templates.c.template_id))
_READ = Statement(select(*_COLUMNS).where(_THIS))
_LOCKED = Statement(select(*_COLUMNS).where(_THIS).with_for_update())
_PUT = Statement(
    update(charging_templates)
    .where(_THIS)
    .values(
        name=bindparam("new_name", type_=Text()),
        profile=bindparam("new_profile", type_=Text()),
        at_start=bindparam("new_at_start", type_=Boolean()),
        chargers=bindparam("new_chargers", type_=Text()),
        fallback=bindparam("new_fallback", type_=Boolean()),
        version=bindparam("new_version", type_=BigInteger()),
    )
)
_DELETED = Statement(delete(charging_templates).where(_THIS))
_AT_START = Statement(select(*_COLUMNS).where(IS_AT_START).order_by(charging_templates.c.template_id))


def created(unit: Unit, template: Template, now_ms: int) -> Template:
    """See `ChargingRecords.create_template`."""
    template = replace(template, version=now_ms)
    return replace(template, template_id=int(unit.one(_CREATED, _row(template))[0]))


def put(unit: Unit, template: Template, expected: int | None, now_ms: int) -> TemplateChanged:
    """See `ChargingRecords.put_template`."""
    found = _find(unit, _LOCKED, template.template_id)
    if found is None:
        return TemplateChanged(Change.MISSING, None)
    if expected is not None and expected != found.version:
        return TemplateChanged(Change.CONFLICT, found)
    if replace(template, version=found.version) == found:
        return TemplateChanged(Change.UNCHANGED, found)
    template = replace(template, version=max(found.version + 1, now_ms))
    row = {f"new_{name}": value for name, value in _row(template).items()}
    unit.send(_PUT, {"the_id": template.template_id, **row})
    return TemplateChanged(Change.UPDATED, template)


def deleted(unit: Unit, template_id: int, expected: int | None) -> TemplateChanged:
    """See `ChargingRecords.delete_template`."""
    found = _find(unit, _LOCKED, template_id)
    if found is None:
        return TemplateChanged(Change.MISSING, None)
    if expected is not None and expected != found.version:
        return TemplateChanged(Change.CONFLICT, found)
    unit.send(_DELETED, {"the_id": template_id})
    return TemplateChanged(Change.DELETED, None)


def read(unit: Unit, template_id: int) -> Template | None:
    """See `ChargingRecords.read_template`."""
    return _find(unit, _READ, template_id)


def list_templates(unit: Unit, after: int, limit: int) -> list[Template]:
    """See `ChargingRecords.list_templates`."""
    query = select(*_COLUMNS).where(charging_templates.c.template_id > after)
    return [_template(row) for row in unit.connection.execute(query.order_by(charging_templates.c.template_id).limit(limit))]


def at_start(unit: Unit) -> tuple[Template, ...]:
    """See `ChargingRecords.templates_at_start`."""
    return tuple(_template(row) for row in unit.all(_AT_START, {}))


def _find(unit: Unit, statement: Statement, template_id: int) -> Template | None:
    row = unit.one(statement, {"the_id": template_id})
    return None if row is None else _template(row)


def _row(template: Template) -> Parameters:
    return {
        "name": template.name,
        "profile": encode(template.profile).decode(),
        "at_start": template.at_start,
        "chargers": None if template.chargers is None else json.dumps(template.chargers),
        "fallback": template.fallback,
        "version": template.version,
    }


def _template(row: Any) -> Template:
    members = dict(zip(_RECORD, row, strict=True))
    chargers = members["chargers"]
    profile, _ = decode(ChargingProfile, members["profile"].encode(), strict=False)
    return Template(
        **{
            **members,
            "profile": profile,
            "at_start": bool(members["at_start"]),
            "fallback": bool(members["fallback"]),
            "chargers": None if chargers is None else tuple(json.loads(chargers)),
        }
    )
