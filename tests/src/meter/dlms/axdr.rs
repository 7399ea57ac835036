//! A-XDR, as far as meters that push use it (Green Book, section 9.5: tags of the data types).

/// Bytes in the making.
#[derive(Default)]
pub(super) struct Data(pub(super) Vec<u8>);

/// W, var, Wh, varh, A, V, and none.
pub(super) const WATT: u8 = 27;
pub(super) const VAR: u8 = 29;
pub(super) const WATT_HOUR: u8 = 30;
pub(super) const VAR_HOUR: u8 = 32;
pub(super) const AMPERE: u8 = 33;
pub(super) const VOLT: u8 = 35;
pub(super) const NO_UNIT: u8 = 255;

impl Data {
    pub(super) fn array(&mut self, count: usize) -> &mut Self {
        self.bytes(&[0x01, count as u8])
    }

    pub(super) fn structure(&mut self, count: usize) -> &mut Self {
        self.bytes(&[0x02, count as u8])
    }

    pub(super) fn null(&mut self) -> &mut Self {
        self.bytes(&[0x00])
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&[0x12]).bytes(&value.to_be_bytes())
    }

    pub(super) fn i16(&mut self, value: i16) -> &mut Self {
        self.bytes(&[0x10]).bytes(&value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u64) -> &mut Self {
        self.bytes(&[0x06]).bytes(&(value as u32).to_be_bytes())
    }

    pub(super) fn i8(&mut self, value: i8) -> &mut Self {
        self.bytes(&[0x0F, value as u8])
    }

    pub(super) fn octets(&mut self, value: &[u8]) -> &mut Self {
        self.bytes(&[0x09, value.len() as u8]).bytes(value)
    }

    pub(super) fn visible(&mut self, value: &str) -> &mut Self {
        self.bytes(&[0x0A, value.len() as u8]).bytes(value.as_bytes())
    }

    /// `A-B:C.D.E.255` as an octet string.
    pub(super) fn obis(&mut self, code: [u8; 5]) -> &mut Self {
        let [a, b, c, d, e] = code;
        self.octets(&[a, b, c, d, e, 255])
    }

    pub(super) fn scaler_unit(&mut self, scaler: i8, unit: u8) -> &mut Self {
        self.structure(2).i8(scaler).bytes(&[0x16, unit])
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
}
