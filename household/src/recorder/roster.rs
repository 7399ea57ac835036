//! Meters come and go: pairing one, removing one, and which there are.
//!
//! A meter is a way to read; what it measured belongs to its points and stays.

use super::*;

impl Recorder {
    /// Pairs a meter, and orders its task to start.
    pub(super) fn add_meter(&mut self, request: &AddMeter) -> Result<MeterId, CallError> {
        // What is known of a meter beforehand makes no other meter of it.
        let place = |address: &str| address.parse::<Source>().map(|source| source.address);
        let wanted = place(&request.address);
        let taken = self.live.look(|state| {
            let mut meters = state.meters.values();
            meters.any(|meter| meter.address == request.address || wanted.is_ok() && place(&meter.address) == wanted)
        });
        if taken {
            return Err(CallError::new(ErrorCode::AlreadyThere, "a meter is already read at this address"));
        }
        let role = match request.role {
            Role::Connection => "connection",
            Role::Generation => "generation",
        };
        self.writer
            .execute(
                "INSERT INTO meter (address, name, role, added_utc_milliseconds) VALUES (?, ?, ?, ?)",
                params![request.address, request.name, role, (self.now)()],
            )
            .map_err(|error| refuse(&error.into()))?;
        let meter = MeterState {
            id: MeterId(self.writer.last_insert_rowid()),
            name: request.name.clone(),
            address: request.address.clone(),
            role: request.role,
            health: Health::default(),
            finding: Finding::Listening,
            keys: Vec::new(),
            security_events_today: 0,
            last_security_event: None,
            sealed_frames: 0,
            sealed_frames_dropped: 0,
            pairing: None,
            lfdi: None,
            administration: None,
        };
        self.protections.insert(meter.id, Protection::default());
        let id = meter.id;
        self.live.change(|state| {
            state.meters.insert(id, meter.clone());
            Some(state.lists())
        });
        self.inherit_keys(&meter);
        self.begin(&self.meter(id)?);
        Ok(id)
    }

    /// Ends reading a meter and forgets its secrets. What its device wants to be told comes with the answer.
    pub(super) fn remove_meter(&mut self, id: MeterId) -> Result<Option<Leaving>, CallError> {
        let meter = self.meter(id)?;
        let stay = self.forget_replacement(id)?;
        self.writer
            .execute("UPDATE meter SET removed_utc_milliseconds = ? WHERE id = ?", params![(self.now)(), id.0])
            .and_then(|_| self.writer.execute("UPDATE point SET meter = NULL WHERE meter = ?", params![id.0]))
            // Nobody could open them any more; the counters stay.
            .and_then(|_| self.writer.execute("DELETE FROM sealed_frame WHERE meter = ?", params![id.0]))
            .map_err(|error| refuse(&error.into()))?;
        let _ = self.orders.send(MeterOrder::Stop(id));
        for point in self.points.iter_mut().filter(|point| point.meter == Some(id)) {
            point.meter = None;
        }
        self.protections.remove(&id);
        self.standings.remove(&id);
        let (leaving, device_forgotten) = self.forget_device(&meter);
        let forgotten = if stay { Ok(()) } else { self.secrets.forget(&self.key_name(id)) }.and(device_forgotten);
        self.live.change(|state| {
            state.meters.remove(&id);
            for point in state.points.values_mut().filter(|point| point.meter == Some(id)) {
                point.meter = None;
            }
            Some(state.lists())
        });
        forgotten.map_err(|error| CallError::new(ErrorCode::SecretsUnavailable, error.to_string()))?;
        Ok(leaving)
    }
}

/// The paired meters, oldest first.
pub(super) fn meters(connection: &Connection) -> Result<Vec<MeterState>, StoreError> {
    let mut statement = connection
        .prepare("SELECT id, name, address, role FROM meter WHERE removed_utc_milliseconds IS NULL ORDER BY id")?;
    let meters = statement.query_map([], |row| {
        Ok(MeterState {
            id: MeterId(row.get(0)?),
            name: row.get(1)?,
            address: row.get(2)?,
            role: if row.get_ref(3)?.as_str()? == "generation" { Role::Generation } else { Role::Connection },
            health: Health::default(),
            finding: Finding::Listening,
            keys: Vec::new(),
            security_events_today: 0,
            last_security_event: None,
            sealed_frames: 0,
            sealed_frames_dropped: 0,
            pairing: None,
            lfdi: None,
            administration: None,
        })
    })?;
    Ok(meters.collect::<Result<_, _>>()?)
}
