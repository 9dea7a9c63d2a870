//! A serde serialiser that builds the narrow JSON form from typed values.

use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{CanonError, MAX_DEPTH, MAX_INTEGER, read::Node};

/// `Ok(None)` stands for `None` and unit: the caller leaves the field out or refuses it.
type Built = Result<Option<Node>, CanonError>;

pub(super) struct Writer {
    pub(super) depth: usize,
}

impl Writer {
    fn deeper(&self) -> Result<usize, CanonError> {
        if self.depth >= MAX_DEPTH { Err(CanonError::Depth) } else { Ok(self.depth + 1) }
    }
}

fn integer(number: i128) -> Built {
    let number = i64::try_from(number).map_err(|_| CanonError::IntegerRange)?;
    if (-MAX_INTEGER..=MAX_INTEGER).contains(&number) {
        Ok(Some(Node::Int(number)))
    } else {
        Err(CanonError::IntegerRange)
    }
}

fn required<T: Serialize + ?Sized>(value: &T, depth: usize) -> Result<Node, CanonError> {
    value.serialize(Writer { depth })?.ok_or(CanonError::Null)
}

pub(super) struct List {
    items: Vec<Node>,
    depth: usize,
    tag: Option<&'static str>,
}

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonError> {
        self.items.push(required(value, self.depth)?);
        Ok(())
    }

    fn finish(self) -> Built {
        Ok(Some(tagged(self.tag, Node::List(self.items))))
    }
}

pub(super) struct Members {
    members: Vec<(String, Node)>,
    pending: Option<String>,
    depth: usize,
    tag: Option<&'static str>,
}

impl Members {
    fn insert(&mut self, key: String, value: Option<Node>) -> Result<(), CanonError> {
        let Some(value) = value else { return Ok(()) };
        self.members.push((key, value));
        Ok(())
    }

    fn finish(mut self) -> Built {
        self.members.sort_by(|a, b| super::key_order(&a.0, &b.0));
        for pair in self.members.windows(2) {
            if let [a, b] = pair
                && a.0 == b.0
            {
                return Err(CanonError::DuplicateKey(a.0.clone()));
            }
        }
        Ok(Some(tagged(self.tag, Node::Object(self.members))))
    }
}

fn tagged(tag: Option<&'static str>, node: Node) -> Node {
    match tag {
        Some(tag) => Node::Object(vec![(tag.to_owned(), node)]),
        None => node,
    }
}

impl Serializer for Writer {
    type Ok = Option<Node>;
    type Error = CanonError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Members;
    type SerializeStruct = Members;
    type SerializeStructVariant = Members;

    fn serialize_bool(self, v: bool) -> Built {
        Ok(Some(Node::Bool(v)))
    }
    fn serialize_i8(self, v: i8) -> Built {
        integer(v.into())
    }
    fn serialize_i16(self, v: i16) -> Built {
        integer(v.into())
    }
    fn serialize_i32(self, v: i32) -> Built {
        integer(v.into())
    }
    fn serialize_i64(self, v: i64) -> Built {
        integer(v.into())
    }
    fn serialize_u8(self, v: u8) -> Built {
        integer(v.into())
    }
    fn serialize_u16(self, v: u16) -> Built {
        integer(v.into())
    }
    fn serialize_u32(self, v: u32) -> Built {
        integer(v.into())
    }
    fn serialize_u64(self, v: u64) -> Built {
        integer(v.into())
    }
    fn serialize_f32(self, _: f32) -> Built {
        Err(CanonError::Float)
    }
    fn serialize_f64(self, _: f64) -> Built {
        Err(CanonError::Float)
    }
    fn serialize_char(self, v: char) -> Built {
        Ok(Some(Node::Text(v.to_string())))
    }
    fn serialize_str(self, v: &str) -> Built {
        Ok(Some(Node::Text(v.to_owned())))
    }
    fn serialize_bytes(self, v: &[u8]) -> Built {
        Ok(Some(Node::List(v.iter().map(|b| Node::Int(i64::from(*b))).collect())))
    }
    fn serialize_none(self) -> Built {
        Ok(None)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Built {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Built {
        Ok(None)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Built {
        Ok(None)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Built {
        Ok(Some(Node::Text(variant.to_owned())))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Built {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Built {
        let depth = self.deeper()?;
        Ok(Some(tagged(Some(variant), required(value, depth)?)))
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<List, CanonError> {
        Ok(List {
            items: Vec::with_capacity(len.unwrap_or(0).min(1024)),
            depth: self.deeper()?,
            tag: None,
        })
    }
    fn serialize_tuple(self, len: usize) -> Result<List, CanonError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<List, CanonError> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<List, CanonError> {
        let mut list = self.serialize_seq(Some(len))?;
        list.tag = Some(variant);
        Ok(list)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Members, CanonError> {
        Ok(Members { members: Vec::new(), pending: None, depth: self.deeper()?, tag: None })
    }
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Members, CanonError> {
        self.serialize_map(Some(len))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Members, CanonError> {
        let mut members = self.serialize_map(Some(len))?;
        members.tag = Some(variant);
        Ok(members)
    }
}

impl SerializeSeq for List {
    type Ok = Option<Node>;
    type Error = CanonError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonError> {
        self.push(value)
    }
    fn end(self) -> Built {
        self.finish()
    }
}

impl SerializeTuple for List {
    type Ok = Option<Node>;
    type Error = CanonError;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonError> {
        self.push(value)
    }
    fn end(self) -> Built {
        self.finish()
    }
}

impl SerializeTupleStruct for List {
    type Ok = Option<Node>;
    type Error = CanonError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonError> {
        self.push(value)
    }
    fn end(self) -> Built {
        self.finish()
    }
}

impl SerializeTupleVariant for List {
    type Ok = Option<Node>;
    type Error = CanonError;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonError> {
        self.push(value)
    }
    fn end(self) -> Built {
        self.finish()
    }
}

impl SerializeMap for Members {
    type Ok = Option<Node>;
    type Error = CanonError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CanonError> {
        self.pending = Some(key.serialize(Key)?);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CanonError> {
        let key = self.pending.take().ok_or(CanonError::KeyType)?;
        // A map entry is data, not an optional field: `None` must not make it vanish.
        let value = required(value, self.depth)?;
        self.insert(key, Some(value))
    }
    fn end(self) -> Built {
        self.finish()
    }
}

impl SerializeStruct for Members {
    type Ok = Option<Node>;
    type Error = CanonError;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), CanonError> {
        let value = value.serialize(Writer { depth: self.depth })?;
        self.insert(key.to_owned(), value)
    }
    fn end(self) -> Built {
        self.finish()
    }
}

impl SerializeStructVariant for Members {
    type Ok = Option<Node>;
    type Error = CanonError;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), CanonError> {
        SerializeStruct::serialize_field(self, key, value)
    }
    fn end(self) -> Built {
        self.finish()
    }
}

/// Map keys must serialise as strings.
struct Key;

macro_rules! not_a_key {
    ($($method:ident($ty:ty);)*) => {$(
        fn $method(self, _: $ty) -> Result<String, CanonError> {
            Err(CanonError::KeyType)
        }
    )*};
}

impl Serializer for Key {
    type Ok = String;
    type Error = CanonError;
    type SerializeSeq = Impossible<String, CanonError>;
    type SerializeTuple = Impossible<String, CanonError>;
    type SerializeTupleStruct = Impossible<String, CanonError>;
    type SerializeTupleVariant = Impossible<String, CanonError>;
    type SerializeMap = Impossible<String, CanonError>;
    type SerializeStruct = Impossible<String, CanonError>;
    type SerializeStructVariant = Impossible<String, CanonError>;

    fn serialize_str(self, v: &str) -> Result<String, CanonError> {
        Ok(v.to_owned())
    }
    fn serialize_char(self, v: char) -> Result<String, CanonError> {
        Ok(v.to_string())
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<String, CanonError> {
        Ok(variant.to_owned())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<String, CanonError> {
        value.serialize(self)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, CanonError> {
        value.serialize(self)
    }
    not_a_key! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_bytes(&[u8]);
        serialize_unit_struct(&'static str);
    }
    fn serialize_none(self) -> Result<String, CanonError> {
        Err(CanonError::KeyType)
    }
    fn serialize_unit(self) -> Result<String, CanonError> {
        Err(CanonError::KeyType)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, CanonError> {
        Err(CanonError::KeyType)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, CanonError> {
        Err(CanonError::KeyType)
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, CanonError> {
        Err(CanonError::KeyType)
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, CanonError> {
        Err(CanonError::KeyType)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, CanonError> {
        Err(CanonError::KeyType)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, CanonError> {
        Err(CanonError::KeyType)
    }
    fn serialize_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, CanonError> {
        Err(CanonError::KeyType)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, CanonError> {
        Err(CanonError::KeyType)
    }
}
